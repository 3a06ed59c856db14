"""What the runs of the lifelong benchmark sum up to, with intervals, and how they look."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from benchmarks.form import Row
from dialogue.metrics import METRICS
from dialogue.metrics.matrix import Lifelong, lifelong

Floats = NDArray[np.float64]
_RESAMPLES = 1_000
_BITS, _HITS = "bits_per_byte", "hits_at_1"


@dataclass(frozen=True, slots=True)
class Result:
    """One run: `found` holds scores by what was learned last, costs by lesson, bytes."""

    name: str
    order: str
    seed: int
    found: Mapping[str, Any]

    @property
    def lessons(self) -> list[str]:
        """The domains in the order they were learned."""
        return list(self.found["scores"]["base"])

    @property
    def seconds(self) -> float:
        """Processor time of all lessons."""
        return math.fsum(cost["cpu_seconds"] for cost in self.found["costs"])

    @property
    def general_loss(self) -> float | None:
        """By what share the lessons raised the bits per byte of the plain instructions."""
        before, after = self.found["general"]
        return _bits(after) / _bits(before) - 1 if before else None

    def cell(self, learned: str, domain: str, metric: str, chosen: Floats | None = None) -> float:
        """R[learned, domain]: a mean over dialogues, or over those `chosen` by their place."""
        rows = np.asarray(self.found["scores"][learned][domain][metric], dtype=np.float64)
        return _ratio(rows if chosen is None else rows[(chosen * len(rows)).astype(np.intp)])

    def matrix(self, metric: str, chosen: Mapping[str, Floats] | None = None) -> dict[Any, float]:
        """All cells."""
        scores = self.found["scores"]
        return {
            (learned, domain): self.cell(
                learned, domain, metric, None if chosen is None else chosen[domain]
            )
            for learned in scores
            for domain in scores[learned]
        }


def _bits(measured: Mapping[str, Any]) -> float:
    return _ratio(np.asarray(measured[_BITS], dtype=np.float64))


def _ratio(rows: Floats) -> float:
    """NaN of nothing: a small exam may have no reply to be picked."""
    return float(rows[:, 0].sum() / rows[:, 1].sum()) if len(rows) else math.nan


def figures_of(results: Sequence[Result], default: str, data_bytes: int) -> dict[str, float]:
    """The default strategy's figures with the ends of their 95 % intervals.

    Dialogues are drawn anew within their domain, the same ones for every strategy, and then runs
    (an order and a seed) among the runs. Few runs drawn anew vary too little, by √((n − 1) / n),
    and what they vary by is known as badly as Student's t says. One run says nothing of others:
    its interval is of dialogues alone.
    """
    groups: dict[tuple[str, int], dict[str, Result]] = {}
    for result in results:
        groups.setdefault((result.order, result.seed), {})[result.name] = result
    needed = (default, "naive", "joint")
    runs = [group for group in groups.values() if all(name in group for name in needed)]
    if not runs:
        return dict.fromkeys(_with_ends(_NAMES), math.nan)
    generator = np.random.default_rng(17)
    examined = runs[0]["naive"].found["scores"]["base"]
    sizes = {domain: len(rows[_BITS]) for domain, rows in examined.items()}
    whole = _all_runs(runs, default, None)
    by_dialogue, by_run = [], []
    for _ in range(_RESAMPLES):
        chosen = {domain: generator.random(size) for domain, size in sizes.items()}
        by_dialogue.append(_figures(_all_runs(runs, default, chosen), data_bytes))
        some = [whole[index] for index in generator.integers(len(runs), size=len(runs))]
        by_run.append(_figures(some, data_bytes))
    found: dict[str, float] = {}
    freedom = len(runs) - 1
    of_runs = stats.t.ppf(0.975, freedom) * math.sqrt(1 + 1 / freedom) if freedom else 0.0
    for name, value in _figures(whole, data_bytes).items():
        spread = [np.std([each[name] for each in drawn]) for drawn in (by_dialogue, by_run)]
        half = math.hypot(stats.norm.ppf(0.975) * spread[0], of_runs * spread[1])
        found |= {name: value, f"{name}_low": value - half, f"{name}_high": value + half}
    return {name: float(value) for name, value in found.items()}


_NAMES = (
    "forgetting_vs_naive",
    "newest_domain_gap",
    "gain_vs_joint",
    "cost_vs_joint",
    "memory_share",
)


def _with_ends(names: Sequence[str]) -> list[str]:
    return [name + end for name in names for end in ("", "_low", "_high")]


@dataclass(frozen=True, slots=True)
class _Sums:
    """One run's sums in bits per byte, for the default, naive and joint training."""

    forgetting: float
    naive_forgetting: float
    newest: float
    naive_newest: float
    gain: float
    joint_gain: float
    cost: float
    joint_cost: float
    memory_bytes: float


def _all_runs(
    runs: Sequence[Mapping[str, Result]], default: str, chosen: Mapping[str, Floats] | None
) -> list[_Sums]:
    return [_sums(run[default], run["naive"], run["joint"], chosen) for run in runs]


def _sums(ours: Result, naive: Result, joint: Result, chosen: Mapping[str, Floats] | None) -> _Sums:
    lessons = ours.lessons
    one, two, three = (each.matrix(_BITS, chosen) for each in (ours, naive, joint))

    def mean(matrix: Mapping[Any, float], pairs: Sequence[tuple[str, str]]) -> float:
        return math.fsum(matrix[pair] for pair in pairs) / len(pairs)

    newest = [(domain, domain) for domain in lessons[1:]]
    last = [(lessons[-1], domain) for domain in lessons]
    first = mean(one, [("base", domain) for domain in lessons])
    return _Sums(
        forgetting=lifelong(one, lessons, METRICS[_BITS]).forgetting or 0.0,
        naive_forgetting=lifelong(two, lessons, METRICS[_BITS]).forgetting or 0.0,
        newest=mean(one, newest),
        naive_newest=mean(two, newest),
        gain=first - mean(one, last),
        joint_gain=first - mean(three, last),
        cost=ours.seconds,
        joint_cost=joint.seconds,
        memory_bytes=float(ours.found["memory_bytes"]),
    )


def _figures(runs: Sequence[_Sums], data_bytes: int) -> dict[str, float]:
    def total(name: str) -> float:
        return math.fsum(getattr(run, name) for run in runs)

    return {
        "forgetting_vs_naive": total("forgetting") / total("naive_forgetting"),
        "newest_domain_gap": total("newest") / total("naive_newest") - 1,
        "gain_vs_joint": total("gain") / total("joint_gain"),
        "cost_vs_joint": total("cost") / total("joint_cost"),
        "memory_share": total("memory_bytes") / len(runs) / data_bytes,
    }


def table(results: Sequence[Result], default: str) -> list[Row]:
    """A row a strategy: averages over its runs."""
    rows = []
    for name in dict.fromkeys(result.name for result in results):
        own = [result for result in results if result.name == name]
        bits = [_after(result) for result in own]
        cells = {
            "average": _mean([each.average for each in bits]),
            "backward": _mean([each.backward_transfer for each in bits]),
            "forward": _mean([each.forward_transfer for each in bits]),
            "forgetting": _mean([each.forgetting for each in bits]),
            "instructions": _mean([result.general_loss for result in own]),
        }
        hits = _mean([_last(result, _HITS) for result in own])
        seconds = _mean([result.seconds for result in own])
        stored = _mean([float(result.found["memory_bytes"]) for result in own])
        rows.append(
            Row(
                f"{name}{' (default)' if name == default else ''}",
                f"{cells['average']:.3f} bits/byte, {hits:.0%} picked",
                " ".join(
                    f"{k} {v:+.3f}"
                    for k, v in cells.items()
                    if k != "average" and not math.isnan(v)
                ),
                f"{seconds:.0f} s, {stored / 1e3:,.0f} kB",
            )
        )
    return rows


def draw(results: Sequence[Result], folder: Path) -> None:
    """Heat maps of R, curves of the average, and the numbers behind them."""
    titles = {_BITS: "bits per byte, lower is better", _HITS: "right replies picked, of five"}
    for metric, title in titles.items():
        for order in dict.fromkeys(result.order for result in results):
            own = [r for r in results if r.order == order and r.name != "joint"]
            if own:
                picture = _heat_maps(own, metric, f"{title}; {order}")
                picture.savefig(folder / f"{metric} {order}.png".replace(" ", "-"), dpi=150)
    if results:
        _curves(results).savefig(folder / "curves.png", dpi=150)
    numbers = [
        {
            "strategy": r.name,
            "order": r.order,
            "seed": r.seed,
            "matrix": {
                metric: {f"{a}/{b}": value for (a, b), value in r.matrix(metric).items()}
                for metric in titles
            },
            "general_loss": r.general_loss,
            "costs": r.found["costs"],
            "memory_bytes": r.found["memory_bytes"],
        }
        for r in results
    ]
    (folder / "matrices.json").write_text(json.dumps(numbers, indent=1))


def _heat_maps(results: Sequence[Result], metric: str, title: str) -> Figure:
    """One map a strategy, its seeds averaged: lessons downwards, domains to the right."""
    names = list(dict.fromkeys(result.name for result in results))
    lessons = results[0].lessons
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    size = (0.5 * len(lessons) * columns + 2.0, 0.3 * (len(lessons) + 2) * rows + 1.6)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    maps = [_mean_map([r for r in results if r.name == n], metric, lessons) for n in names]
    # A few very bad cells must not take the whole scale: it ends where most cells do.
    low, high = np.nanmin(maps), np.nanquantile(maps, 0.9)
    good_is_low = METRICS[metric].sign < 0
    for place, axis in enumerate(axes.flat):
        if place >= len(names):
            axis.axis("off")
            continue
        # Dark is good, whatever the metric.
        colours = "Blues_r" if good_is_low else "Blues"
        axis.imshow(maps[place], vmin=low, vmax=high, cmap=colours, aspect="auto")
        for (row, column), value in np.ndenumerate(maps[place]):
            is_dark = (value < (low + high) / 2) == good_is_low
            colour = "white" if is_dark else "black"
            text = f"{value:.2f}"
            axis.text(column, row, text, ha="center", va="center", fontsize=6.5, color=colour)
        axis.set_title(names[place], fontsize=10, loc="left")
        axis.set_xticks(range(len(lessons)), lessons, rotation=40, ha="right", fontsize=8)
        axis.set_yticks(range(len(lessons) + 1), ["base", *lessons], fontsize=8)
    figure.supylabel("learned last", fontsize=9)
    figure.supxlabel("examined on", fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def _curves(results: Sequence[Result]) -> Figure:
    """After each lesson, the mean bits per byte over the domains learned so far."""
    orders = list(dict.fromkeys(result.order for result in results))
    figure = Figure(figsize=(5.2 * len(orders) + 1.8, 4.2), layout="constrained")
    axes = figure.subplots(1, len(orders), squeeze=False, sharey=True)[0]
    for axis, order in zip(axes, orders, strict=True):
        for name in dict.fromkeys(r.name for r in results):
            own = [r for r in results if r.order == order and r.name == name]
            if own:
                _curve(axis, own, name)
        lessons = next(r for r in results if r.order == order).lessons
        axis.set_title(order, loc="left", fontsize=10)
        places = range(1, len(lessons) + 1)
        axis.set_xticks(places, lessons, rotation=40, ha="right", fontsize=8)
        axis.grid(axis="y", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("bits per byte on all domains so far")
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure


def _curve(axis: Axes, results: Sequence[Result], name: str) -> None:
    if name == "joint":
        level = _mean([_last(r, _BITS) for r in results])
        axis.axhline(level, color="black", linestyle=":", label="joint, at the end")
        return
    places = range(1, len(results[0].lessons) + 1)
    means = [_mean([_so_far(r, place, name) for r in results]) for place in places]
    axis.plot(places, means, marker="o", markersize=3, label=name)


def _so_far(result: Result, number: int, name: str) -> float:
    known = result.lessons[:number]
    # A separate model knows its own domain only.
    return _mean([result.cell(d if name == "separate" else known[-1], d, _BITS) for d in known])


def _mean_map(results: Sequence[Result], metric: str, lessons: Sequence[str]) -> Floats:
    maps = [[[r.cell(a, b, metric) for b in lessons] for a in ("base", *lessons)] for r in results]
    mean: Floats = np.asarray(maps, dtype=np.float64).mean(axis=0)
    return mean


def _after(result: Result) -> Lifelong:
    if result.name == "joint":
        return Lifelong(_last(result, _BITS), None, None, None, {})
    return lifelong(result.matrix(_BITS), result.lessons, METRICS[_BITS])


def _last(result: Result, metric: str) -> float:
    lessons = result.lessons
    own = result.name == "separate"
    return _mean([result.cell(d if own else lessons[-1], d, metric) for d in lessons])


def _mean(values: Sequence[float | None]) -> float:
    given = [value for value in values if value is not None]
    return math.fsum(given) / len(given) if given else math.nan
