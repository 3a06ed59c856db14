"""How far the appraisal of responses agrees with people, and what it tells apart.

1. Conversations of eleven bots with people (../shared/data/ratings), about three ratings of each.
   A conversation's appraisal is the mean over the bot's turns, a bot's the mean over its
   conversations; agreement is Spearman's rank correlation with the mean overall rating, with the
   interval of a bootstrap over conversations (of a bot, for bots). Halves by hash show how much of
   a figure is chance. Other ways to sum up a conversation stand below.
   The exam's metrics of what was written are held against all of these conversations. Without
   the ratings nothing is measured.
2. chitchat-dataset's own ratings of chats between people, who rated each other, with the logarithm
   of the chat's length held fixed: long chats were good ones.
3. The real response against others, area under the curve, on contexts that nothing was trained on.

What the language model found is kept in data/readings/, so that a run that was cut off goes on.

    python -m benchmarks.metrics                     # everything: hours on two cores
    python -m benchmarks.metrics --per-bot 20 --chats 50 --contexts 60
    python -m benchmarks.metrics --quick             # a smoke run, too small to judge
    python -m benchmarks.metrics --plot bots.png     # and the bots, appraisal against rating
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmarks._agreement import (
    Floats,
    auc,
    by_group,
    interval,
    partial_spearman,
    spearman,
    split_half,
)
from benchmarks._contexts import KINDS, contexts
from benchmarks._rated import RATINGS, Rated, rated_chats, rated_conversations
from benchmarks._readings import KeptReader
from benchmarks.form import Bound, Row, report
from dialogue.appraisal import COMPOSITE, Appraiser, load_encode, load_reader
from dialogue.appraisal.meaning import load_head
from dialogue.metrics import METRICS
from dialogue.metrics.contradiction import self_contradiction
from dialogue.metrics.diversity import lexical_diversity
from dialogue.metrics.novelty import distinct, repetition, self_repetition
from dialogue.progress import Progress

_AT_ONCE = 10
_ALL = 200
"""Conversations of every bot, or more than there are."""
BOUNDS: dict[str, Bound] = {
    # FlowScore's, as reported by Yeh et al. 2021, arXiv:2106.03706.
    "dialogue_spearman": ("min", 0.14),
    "system_spearman": ("min", 0.90),
}
_PUBLISHED = "FlowScore .140/.900, DynaEval .101/.727, DEB .131/.473"
_SUMMARIES: dict[str, Callable[[Floats], float]] = {
    "lowest turn": lambda values: float(values.min()),
    "lower quartile": lambda values: float(np.quantile(values, 0.25)),
    "last turn": lambda values: float(values[-1]),
}


def main() -> int:
    """Appraise, and hold it against people."""
    asked = _arguments()
    if not RATINGS.exists():
        raise SystemExit(f"{RATINGS}: not here; its ratings are what the bounds are held against")
    appraiser = Appraiser(KeptReader(load_reader), load_encode(), load_head())
    rows, figures = _apart(appraiser, 3 if asked.quick else asked.contexts)
    conversations = rated_conversations(2 if asked.quick else asked.per_bot)
    measures = _appraised(appraiser, conversations, "conversations")
    more, found = _ratings(conversations, measures, asked.plot)
    rows, figures = rows + more, figures | found
    more, found = _written(rated_conversations(2 if asked.quick else _ALL))
    rows, figures = rows + more, figures | found
    chats = rated_chats(3 if asked.quick else asked.chats)
    more, found = _chats(chats, _appraised(appraiser, chats, "chats"))
    return report("metrics", rows + more, figures | found, BOUNDS, quick=asked.quick)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-bot", type=int, default=_ALL, metavar="N")
    parser.add_argument("--chats", type=int, default=400, metavar="N")
    parser.add_argument("--contexts", type=int, default=200, metavar="N", help="of each corpus")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="picture of the bots")
    parser.add_argument("--quick", action="store_true", help="a smoke run: too small to judge")
    return parser.parse_args()


def _apart(appraiser: Appraiser, num: int) -> tuple[list[Row], dict[str, float]]:
    """Area under the curve of the real response against each kind of other ones."""
    corpora = contexts(num)
    curves: dict[str, list[list[float]]] = {}
    for drawn in corpora.values():
        exchanges = [exchange for own in drawn for exchange in own]
        for name, values in appraiser.appraise(exchanges).items():
            table = values.reshape(len(drawn), 1 + len(KINDS))
            curves.setdefault(name, []).append(
                [auc(table[:, 0], other) for other in table[:, 1:].T]
            )
    means = {name: np.mean(found, axis=0) for name, found in curves.items()}
    rows = [
        Row(f"{name}: real before {kind}", f"{value:.3f}", "", ", ".join(corpora))
        for name in (COMPOSITE,)
        for kind, value in zip(KINDS, means[name], strict=True)
    ]
    keys = ("other", "same", "phrase", "shuffled", "echo", "near")
    figures = {
        f"auc_{key}": float(value) for key, value in zip(keys, means[COMPOSITE], strict=True)
    }
    return rows, figures | {"num_contexts": float(sum(map(len, corpora.values())))}


def _appraised(appraiser: Appraiser, rated: Sequence[Rated], unit: str) -> dict[str, list[Floats]]:
    """Every measure of every turn that was rated, conversation by conversation."""
    bar = Progress("appraise", len(rated), unit)
    found: dict[str, list[Floats]] = {}
    for start in range(0, len(rated), _AT_ONCE):
        part = rated[start : start + _AT_ONCE]
        own = [each.exchanges for each in part]
        values = appraiser.appraise([exchange for exchanges in own for exchange in exchanges])
        ends = np.cumsum([len(exchanges) for exchanges in own])[:-1]
        for name, column in values.items():
            found.setdefault(name, []).extend(np.split(column, ends))
        bar.advance(len(part))
    bar.finish()
    return found


def _ratings(
    rated: Sequence[Rated], measures: dict[str, list[Floats]], plot: Path | None
) -> tuple[list[Row], dict[str, float]]:
    ratings = np.array([each.rating for each in rated])
    bots, groups = np.unique([each.by for each in rated], return_inverse=True)
    lengths = np.log([len(each.turns) for each in rated])
    halves = np.array([int(each.digest, 16) % 2 == 0 for each in rated])
    columns = {name: np.array([turns.mean() for turns in own]) for name, own in measures.items()}
    for name, summary in _SUMMARIES.items():
        columns[f"{COMPOSITE}, {name}"] = np.array([summary(own) for own in measures[COMPOSITE]])
    columns |= {name: np.array([each.signals[name] for each in rated]) for name in rated[0].signals}
    rows = [Row("", "conversations", "bots", f"published: {_PUBLISHED}")]
    figures = {"num_conversations": float(len(rated))}
    for name, values in columns.items():
        dialogue = spearman(values, ratings)
        system = by_group(values, ratings, groups)
        low, high = interval(spearman, (values, ratings))
        bot_low, bot_high = interval(by_group, (values, ratings), groups)
        first, second = (spearman(values[half], ratings[half]) for half in (halves, ~halves))
        fixed = partial_spearman(values, ratings, lengths)
        rows.append(
            Row(
                name,
                f"{dialogue:+.3f} ({low:+.3f} … {high:+.3f})",
                f"{system:+.3f} ({bot_low:+.3f} … {bot_high:+.3f})",
                f"halves {first:+.3f} {second:+.3f}, length fixed {fixed:+.3f}",
            )
        )
        if name == COMPOSITE:
            figures |= {
                "dialogue_spearman": dialogue,
                "dialogue_spearman_low": low,
                "dialogue_spearman_high": high,
                "dialogue_spearman_length_fixed": fixed,
                "system_spearman": system,
                "system_spearman_low": bot_low,
                "system_spearman_high": bot_high,
            }
    half, whole = split_half(ratings, groups)
    rows.append(Row("people themselves", "", f"{whole:+.3f}", f"of half the ratings {half:+.3f}"))
    figures["raters_system_spearman"] = whole
    if plot is not None:
        _draw(plot, bots.tolist(), columns[COMPOSITE], ratings, groups)
    return rows, figures


def _written(rated: Sequence[Rated]) -> tuple[list[Row], dict[str, float]]:
    """The exam's metrics of what was written, of each bot's own turns: they need no model."""
    ratings = np.array([each.rating for each in rated])
    groups = np.unique([each.by for each in rated], return_inverse=True)[1]
    rows = [Row(f"of what was written, {len(rated):,}", "conversations", "bots", "")]
    figures = {}
    for name, measure in _WRITTEN.items():
        values = np.array([measure([text for own, text in each.turns if own]) for each in rated])
        signed = values if METRICS[name].better == "higher" else -values
        found = spearman(signed, ratings)
        low, high = interval(spearman, (signed, ratings))
        system = by_group(signed, ratings, groups)
        bot_low, bot_high = interval(by_group, (signed, ratings), groups)
        rows.append(
            Row(
                name,
                f"{found:+.3f} ({low:+.3f} … {high:+.3f})",
                f"{system:+.3f} ({bot_low:+.3f} … {bot_high:+.3f})",
                "",
            )
        )
        figures[f"{name}_spearman"] = found
    return rows, figures


def _share(parts: Iterable[tuple[float, float]]) -> float:
    """Values over weights; 0 where nothing weighs."""
    value, weight = map(sum, zip(*parts, strict=True))
    return value / weight if weight else 0.0


def _distinct(turns: Sequence[str], order: int) -> float:
    return _share((new, total) for _, new, total in distinct(_by_place(turns), order))


def _mtld(turns: Sequence[str]) -> float:
    """All words where none is said twice, and no factor begins."""
    parts = [(num, factors) for _, num, factors in lexical_diversity(_by_place(turns))]
    return _share(parts) or sum(num for num, _ in parts)


def _by_place(turns: Sequence[str]) -> dict[str, str]:
    return {f"{place:04d}": turn for place, turn in enumerate(turns)}


_WRITTEN: dict[str, Callable[[Sequence[str]], float]] = {
    "distinct_1": lambda turns: _distinct(turns, 1),
    "distinct_2": lambda turns: _distinct(turns, 2),
    "distinct_3": lambda turns: _distinct(turns, 3),
    "mtld": _mtld,
    "repetition": lambda turns: float(np.mean([repetition(turn) for turn in turns])),
    "self_repetition": lambda turns: _share([self_repetition(turns)]),
    "self_contradiction": lambda turns: _share([self_contradiction(turns)]),
}


def _chats(
    rated: Sequence[Rated], measures: dict[str, list[Floats]]
) -> tuple[list[Row], dict[str, float]]:
    ratings = np.array([each.rating for each in rated])
    lengths = np.log([len(each.turns) for each in rated])
    rows = [Row("", "people's chats, length fixed", "not fixed", "")]
    figures = {"num_chats": float(len(rated))}
    for name, own in measures.items():
        values = np.array([turns.mean() for turns in own])
        fixed = partial_spearman(values, ratings, lengths)
        low, high = interval(partial_spearman, (values, ratings, lengths))
        free = spearman(values, ratings)
        rows.append(Row(name, f"{fixed:+.3f} ({low:+.3f} … {high:+.3f})", f"{free:+.3f}", ""))
        if name == COMPOSITE:
            figures |= {
                "chat_spearman_length_fixed": fixed,
                "chat_spearman_length_fixed_low": low,
                "chat_spearman_length_fixed_high": high,
            }
    return rows, figures


def _draw(
    file: Path, bots: Sequence[str], values: Floats, ratings: Floats, groups: np.ndarray
) -> None:
    """Each bot's mean rating over its mean composite."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # only where a picture is wanted

    counts = np.bincount(groups)
    x, y = (np.bincount(groups, weights=column) / counts for column in (values, ratings))
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(x, y)
    axes.margins(0.15)
    for name, left, up in zip(bots, x, y, strict=True):
        axes.annotate(name, (left, up), textcoords="offset points", xytext=(5, 4), fontsize=8)
    axes.set(xlabel="composite, mean over conversations", ylabel="overall rating of people")
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
