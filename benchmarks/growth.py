"""Whether a round of lifelong learning costs the same after five domains and after twenty.

Twenty services of Schema-Guided Dialogue (../shared/data) are learned one after the other by the
default strategy of params.yaml, on the small model of `benchmarks.lifelong`, each cut to the same
number of tokens; then once more with those that are compared in each other's place, so that a
service that costs more counts early and late. Costs are seconds of processor time. There is no
peer: a round of joint training grows with the domains by definition.

    python -m benchmarks.growth
    python -m benchmarks.growth --quick    # nine services: a smoke run, too small to judge
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks._lifelong_rounds import MEMORY_SHARE, QUICK, SIZES, learn, nothing, settings
from benchmarks._lifelong_stream import SHARED, Stream, kept_name, open_stream, services
from benchmarks.form import Bound, Row, quick_wanted, report
from dialogue.config import load_params
from dialogue.model import load_model
from dialogue.progress import Progress
from dialogue.shards import Shard

BOUNDS: dict[str, Bound] = {"round_20_vs_5": ("max", 1.1), "memory_20_vs_5": ("max", 1.1)}
_FOLDER = Path("data/benchmarks/growth")
_SERVICES = [
    "Banks_1",
    "Buses_1",
    "Buses_2",
    "Calendar_1",
    "Events_1",
    "Events_2",
    "Flights_1",
    "Homes_1",
    "Hotels_1",
    "Hotels_2",
    "Hotels_3",
    "Media_1",
    "Movies_1",
    "Music_1",
    "Music_2",
    "RentalCars_1",
    "Restaurants_1",
    "RideSharing_1",
    "Services_1",
    "Weather_1",
]
_TOKENS, _FEW_TOKENS = 12_000, 1_000
_EARLY, _LATE = slice(3, 6), slice(-3, None)
"""Rounds 4 to 6, around the fifth, and the last three."""


def main() -> int:
    """Learn in both orders."""
    quick = quick_wanted(__doc__ or "")
    if not SHARED.exists():
        raise SystemExit(f"{SHARED}: not here; its Schema-Guided Dialogue is what is learned")
    sizes = QUICK if quick else SIZES["small"]
    names = _SERVICES[:9] if quick else _SERVICES
    params = load_params(Path("params.yaml"))
    folder = _FOLDER / kept_name("benchmarks.growth", sizes, params, [params.finetune])
    stream = open_stream(sizes, folder, services(names))
    room = _FEW_TOKENS if quick else _TOKENS
    lessons = {name: _cut(shard, room) for name, shard in stream.train.items()}
    bar = Progress("rounds", 2 * len(lessons), "rounds", sys.stderr)
    order = list(lessons)
    swapped = list(order)
    swapped[_EARLY], swapped[_LATE] = order[_LATE], order[_EARLY]
    found = np.array([_rounds(stream, lessons, each, bar) for each in (order, swapped)])
    bar.finish()
    rounds = found.mean(axis=0)
    late_to_early = rounds[_LATE].mean(axis=0) / rounds[_EARLY].mean(axis=0)
    rows = [
        Row(f"round {number}", f"{seconds:.1f} s, {size / 1e3:,.0f} kB remembered", "", "")
        for number, (seconds, size) in enumerate(rounds, start=1)
    ]
    figures = dict(zip(BOUNDS, late_to_early.tolist(), strict=True))
    return report("growth", rows, figures, BOUNDS, quick=quick)


def _cut(shard: Shard, num_tokens: int) -> Shard:
    """The first dialogues with so many tokens together, or nearly.

    Raises:
        SystemExit: there are too few.
    """
    fit = int(np.searchsorted(np.cumsum(shard.lengths), num_tokens, side="right"))
    if fit == len(shard):
        raise SystemExit(f"{shard.domains[0]}: fewer than {num_tokens} tokens to learn")
    return shard.select(range(fit))


def _rounds(
    stream: Stream, lessons: dict[str, Shard], order: Sequence[str], bar: Progress
) -> list[tuple[float, float]]:
    """Seconds of processor time and bytes of memory of every round."""
    model, memory = load_model(stream.base), nothing()
    size = int(MEMORY_SHARE * sum(lesson.num_bytes for lesson in lessons.values()))
    chosen = settings("small", 1, stream, changes={"replay": {"max_bytes": size}})
    found = []
    for domain in order:
        model, memory, cost = learn(stream, domain, lessons[domain], memory, chosen, model)
        found.append((cost["cpu_seconds"], float(memory.num_bytes)))
        bar.advance(1)
    return found


if __name__ == "__main__":
    sys.exit(main())
