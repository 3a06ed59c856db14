"""How much personal data is found, how much else is taken for it, and what looking costs a turn.

500 made-up items and 1,300 sentences that only look like some (tests/dialogue/privacy_corpus) are
scrubbed, and real turns of people (chitchat-dataset) are timed. The peer is what most projects
write by hand: one pattern for e-mail addresses, one for runs of digits, one for IPv4. Intervals are
exact binomial ones (Clopper and Pearson 1934), 95 %.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from itertools import chain, islice
from pathlib import Path

from scipy.stats import binomtest

from benchmarks.form import Bound, Row, alternate, quick_wanted, report
from dialogue.config import load_params
from dialogue.privacy import STRUCTURED, Scrubber
from dialogue.privacy.suspicion import suspicious
from dialogue.records import Dialogue
from dialogue.sources import raw_files, read
from tests.dialogue import privacy_corpus as corpus

BOUNDS: dict[str, Bound] = {
    "recall_structured": ("min", 0.99),
    "precision": ("min", 0.95),
}
_BY_HAND = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?<![\w.])\+?\d(?:[ ()./-]{0,2}\d){8,}|\d{1,3}(?:\.\d{1,3}){3}"
)


def main() -> int:
    """Count on the corpus, time on real turns."""
    quick = quick_wanted(__doc__ or "")
    examples, others = corpus.personal(), corpus.clean()
    score = corpus.score(examples, others, STRUCTURED)
    taken = score.right + score.wrong
    rows = [
        *(
            Row(
                f"recall of {kind}",
                _share(score.found[kind], score.items[kind]),
                _share(*_by_hand(e for e in examples if e.kind == kind)),
                "",
            )
            for kind in STRUCTURED
        ),
        Row(
            "recall of all",
            _share(score.found.total(), score.items.total()),
            _share(*_by_hand(examples)),
            "",
        ),
        Row(
            "precision",
            _share(score.right.total(), taken.total()),
            _share(*_precision_by_hand(examples, others)),
            "",
        ),
        *_other_seeds(1 if quick else 10),
        _row("bare national phones", corpus.bare_phones(), STRUCTURED),
        *_names(),
    ]
    turns = list(islice(_turns(), 2_000 if quick else 40_000))
    clean = [turn for turn in turns if not suspicious(turn)]
    every, only_clean, by_hand = _microseconds(turns, clean)
    rows += [
        Row("a real turn", f"{every:.2f} µs", f"{by_hand:.2f} µs", f"{by_hand / every:.2f}"),
        Row("a turn without suspicion", f"{only_clean:.2f} µs", "", ""),
        Row("turns under suspicion", f"{1 - len(clean) / len(turns):.2%}", "", ""),
    ]
    figures = {
        "recall_structured": score.found.total() / score.items.total(),
        "precision": score.right.total() / taken.total(),
        "microseconds_per_turn": every,
    }
    return report("privacy", rows, figures, BOUNDS, quick=quick)


def _other_seeds(number: int) -> list[Row]:
    """The same on items that nobody has looked at while the patterns were written."""
    scores = [
        corpus.score(corpus.personal(seed), corpus.clean(seed), STRUCTURED)
        for seed in range(1000, 1000 + number)
    ]
    found, right, wrong = (
        sum(getattr(score, counter).total() for score in scores)
        for counter in ("found", "right", "wrong")
    )
    return [
        Row("recall, other seeds", _share(found, 500 * number), "", ""),
        Row("precision, other seeds", _share(right, right + wrong), "", ""),
    ]


def _names() -> list[Row]:
    people = corpus.people()
    return [
        _row(f"names, {form}", [e for e in people if e.form == form], ("name",))
        for form in ("introduced", "bare")
    ]


def _row(what: str, examples: list[corpus.Example], kinds: tuple[str, ...]) -> Row:
    score = corpus.score(examples, (), kinds)
    found = _share(score.found.total(), score.items.total())
    return Row(what, found, "", "")


def _share(hits: int, total: int) -> str:
    interval = binomtest(hits, total).proportion_ci(method="exact")
    return f"{100 * hits / total:.1f} % ({100 * interval.low:.1f}–{100 * interval.high:.1f})"


def _by_hand(examples: Iterable[corpus.Example]) -> tuple[int, int]:
    """How many items the hand-written patterns cover, whatever kind they take them for."""
    covered = [
        any(m.start() <= e.start and m.end() >= e.end for m in _BY_HAND.finditer(e.text))
        for e in examples
    ]
    return sum(covered), len(covered)


def _precision_by_hand(examples: list[corpus.Example], others: list[str]) -> tuple[int, int]:
    within = [
        match.start() >= example.start and match.end() <= example.end
        for example in examples
        for match in _BY_HAND.finditer(example.text)
    ]
    wrong = sum(1 for text in others for _ in _BY_HAND.finditer(text))
    return sum(within), len(within) + wrong


def _microseconds(turns: list[str], clean: list[str]) -> tuple[float, float, float]:
    """Per turn: scrubbing all of them, the clean ones alone, and the patterns by hand."""
    scrubber = Scrubber(STRUCTURED)
    sides: dict[str, Callable[[], object]] = {
        "every": lambda: [scrubber.scrub(turn) for turn in turns],
        "clean": lambda: [scrubber.scrub(turn) for turn in clean],
        "hand": lambda: [_BY_HAND.sub("[X]", turn) for turn in turns],
    }
    seconds = {side: min(times) for side, times in alternate(sides, 7).items()}
    return (
        1e6 * seconds["every"] / len(turns),
        1e6 * seconds["clean"] / len(clean),
        1e6 * seconds["hand"] / len(turns),
    )


def _turns() -> chain[str]:
    settings = load_params(Path(__file__).parents[1] / "params.yaml").ingest
    source = settings.sources["chitchat"].model_copy(update={"limit": None})
    rows = read(
        source,
        raw_files(source),
        "chitchat",
        test_share=settings.test_share,
        validation_share=settings.validation_share,
        scrubber=Scrubber(()),
        max_row_bytes=settings.max_row_bytes,
    )
    dialogues = (row for row in rows if isinstance(row, Dialogue))
    return chain.from_iterable((turn.text for turn in dialogue.turns) for dialogue in dialogues)


if __name__ == "__main__":
    sys.exit(main())
