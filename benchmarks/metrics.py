"""How far the appraisal of responses agrees with people, on rated conversations with bots.

The conversations are those of ../shared/data/ratings: eleven bots, 200 conversations each, about
three ratings of each. A conversation's appraisal is the mean over the bot's turns, a bot's the mean
over its conversations. Agreement is Spearman's rank correlation with the mean overall rating, with
the interval of a bootstrap over conversations; a second one holds the conversation's length fixed.

    python -m benchmarks.metrics                  # all 2,200: an hour or two on two cores
    python -m benchmarks.metrics --per-bot 20     # the first 20 of each bot, by their hashes
    python -m benchmarks.metrics --quick          # a smoke run, too small to judge
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.form import Bound, Row, report
from dialogue.appraisal import COMPOSITE, Exchange, load_appraiser
from dialogue.progress import Progress

_RATINGS = Path("../shared/data/ratings/interactive_dialogues.jsonl.gz")
_OVERALL = "human (overall)"
_RESAMPLES = 2_000
BOUNDS: dict[str, Bound] = {
    # FlowScore's, as reported by Yeh et al. 2021, arXiv:2106.03706.
    "dialogue_spearman": ("min", 0.14),
    "system_spearman": ("min", 0.90),
}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Who spoke with a person, what both said, and what raters thought of it."""

    bot: str
    turns: tuple[tuple[str, str], ...]
    rating: float

    @property
    def exchanges(self) -> list[Exchange]:
        """Every turn of the bot, with what stood before it."""
        texts = [text for _, text in self.turns]
        return [
            Exchange(tuple(texts[:index]), text)
            for index, (speaker, text) in enumerate(self.turns)
            if speaker == "System" and text.strip()
        ]


def main() -> int:
    """Appraise, and hold it against the ratings."""
    asked = _arguments()
    if not _RATINGS.exists():
        print(f"{_RATINGS}: not here; there is nothing to hold against", file=sys.stderr)
        return 0
    chosen = _chosen(2 if asked.quick else asked.per_bot)
    appraiser = load_appraiser()
    bar = Progress("appraise", len(chosen), "conversations")
    found: dict[str, list[float]] = defaultdict(list)
    for start in range(0, len(chosen), 20):
        part = chosen[start : start + 20]
        asked_of = [each.exchanges for each in part]
        values = appraiser.appraise([exchange for own in asked_of for exchange in own])
        ends = np.cumsum([len(own) for own in asked_of])[:-1]
        for name, column in values.items():
            found[name] += [float(own.mean()) for own in np.split(column, ends)]
        bar.advance(len(part))
    bar.finish()
    measures = {name: np.array(column) for name, column in found.items()}
    figures: dict[str, float] = {"num_conversations": float(len(chosen))}
    rows = [_row(name, column, chosen, figures) for name, column in measures.items()]
    return report("metrics", rows, figures, BOUNDS, quick=asked.quick)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-bot", type=int, default=200, metavar="N")
    parser.add_argument("--quick", action="store_true", help="a smoke run: too small to judge")
    return parser.parse_args()


def _chosen(per_bot: int) -> list[Conversation]:
    """The first of each bot, by the hash of what was said."""
    rated: dict[tuple[str, str], list[float]] = defaultdict(list)
    with gzip.open(_RATINGS, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            rated[row["system"], row["context"]].append(float(row[_OVERALL]))
    bots: dict[str, list[Conversation]] = defaultdict(list)
    for (bot, text), ratings in sorted(rated.items(), key=lambda item: _hash(item[0][1])):
        turns = _turns(text)
        if len(bots[bot]) < per_bot and any(s == "System" and t.strip() for s, t in turns):
            bots[bot].append(Conversation(bot, turns, float(np.mean(ratings))))
    return [each for own in bots.values() for each in own]


def _turns(text: str) -> tuple[tuple[str, str], ...]:
    """Lines begin with who speaks; one that does not goes on with the turn before it."""
    turns: list[tuple[str, str]] = []
    for line in text.split("\n"):
        speaker, colon, said = line.partition(": ")
        if colon and speaker in ("User", "System"):
            turns.append((speaker, said))
        elif turns:
            turns[-1] = (turns[-1][0], f"{turns[-1][1]} {line}")
    return tuple(turns)


def _row(
    name: str, values: Floats, chosen: Sequence[Conversation], figures: dict[str, float]
) -> Row:
    """One measure's agreement; the composite's goes into the figures."""
    ratings = np.array([each.rating for each in chosen])
    lengths = np.array([len(each.turns) for each in chosen], dtype=np.float64)
    bots = np.unique([each.bot for each in chosen], return_inverse=True)[1]
    dialogue = _spearman(values, ratings)
    system = _by_bot(values, ratings, bots)
    fixed = _partial(values, ratings, lengths)
    generator = np.random.default_rng(17)
    drawn = [generator.integers(len(chosen), size=len(chosen)) for _ in range(_RESAMPLES)]
    low, high = np.quantile([_spearman(values[d], ratings[d]) for d in drawn], [0.025, 0.975])
    if name == COMPOSITE:
        figures |= {
            "dialogue_spearman": dialogue,
            "dialogue_spearman_low": float(low),
            "dialogue_spearman_high": float(high),
            "dialogue_spearman_length_fixed": fixed,
            "system_spearman": system,
        }
    return Row(
        name,
        f"dialogue {dialogue:+.3f} ({low:+.3f} … {high:+.3f})",
        f"length fixed {fixed:+.3f}",
        f"bots {system:+.3f}",
    )


def _spearman(one: Floats, other: Floats) -> float:
    return float(stats.spearmanr(one, other).statistic)


def _partial(one: Floats, other: Floats, fixed: Floats) -> float:
    """Spearman's partial correlation: of ranks, what is left beside a third one's."""
    ranks = np.stack([stats.rankdata(each) for each in (one, other, fixed)])
    ab, ac, bc = (float(np.corrcoef(ranks[i], ranks[j])[0, 1]) for i, j in ((0, 1), (0, 2), (1, 2)))
    return float((ab - ac * bc) / np.sqrt((1 - ac**2) * (1 - bc**2)))


def _by_bot(values: Floats, ratings: Floats, bots: NDArray[np.intp]) -> float:
    """Of each bot's means."""
    counts = np.bincount(bots)
    return _spearman(
        np.bincount(bots, weights=values) / counts, np.bincount(bots, weights=ratings) / counts
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
