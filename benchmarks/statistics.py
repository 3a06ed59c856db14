"""How often the gates are right: verdicts on drawn exams whose truth is known.

The base model of params.yaml learns the same real dialogues from two seeds; the likelihoods that
both give every held-out dialogue, text and instruction are the population. A trial draws an
exam of it with replacement and asks `judge` for a verdict by the rules of params.yaml that test
something; where that is INCONCLUSIVE, once more on an exam twice as large. Where nothing shall
differ, a coin decides for each dialogue which model is called the candidate; a change multiplies
the candidate's bits. There is no peer: the bounds are what the tests promise. The population and
the curves lie under data/benchmarks/statistics; a population that is there is not made again while
the settings and the code that make it stay as they are.

    python -m benchmarks.statistics
    python -m benchmarks.statistics --quick    # a smoke run, too small to judge
"""

from __future__ import annotations

import functools
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks._lifelong_stream import Sizes
from benchmarks._population import EARLIER, MEASURED, TARGET, Floats, Population, population
from benchmarks.form import Bound, Row, quick_wanted, report
from dialogue.config import Gate, load_params
from dialogue.exam import GENERAL
from dialogue.gates import judge
from dialogue.scores import Score
from dialogue.statistics import bootstrap, interval
from dialogue.verdict import Candidate, Decision

_FOLDER = Path("data/benchmarks/statistics")
_WHOLE = Sizes(num_train=200, num_test=200, num_selected=200, max_tokens=128, pretrain_tokens=None)
_QUICK = Sizes(num_train=60, num_test=60, num_selected=60, max_tokens=64, pretrain_tokens=20_000)
_DIALOGUES = 200
_REGRESSION, _GAIN = 0.03, 0.05
_METRICS = (*MEASURED, "gain_over_base")


@dataclass(frozen=True, slots=True)
class Scene:
    """What is true of the candidate: relative change of its bits, by domain; − is better."""

    regression: float = 0.0
    gain: float = 0.0
    num_dialogues: int = _DIALOGUES

    def change(self, domain: str) -> float:
        """Of the candidate's bits on a domain."""
        return {TARGET: -self.gain, EARLIER[0]: self.regression}.get(domain, 0.0)


def main() -> int:
    """Make the population, draw exams of it, and count verdicts."""
    quick = quick_wanted(__doc__ or "")
    sizes = _QUICK if quick else _WHOLE
    trials, points = (20, 4) if quick else (2_000, 200)
    gate = _gate()
    people = population(sizes, _FOLDER)
    scenes = {
        "the same": Scene(),
        "the same, as few as by default": Scene(num_dialogues=40),
        "a regression": Scene(regression=_REGRESSION, gain=_GAIN),
        "a gain": Scene(gain=_GAIN),
    }
    with ProcessPoolExecutor(max_workers=2) as pool:
        found = {n: _verdicts(pool, people, gate, scene, trials) for n, scene in scenes.items()}
        covered = _coverage(people, gate, trials)
        curves = {
            name: {
                number: [
                    (size, _verdicts(pool, people, gate, scene, points)["PROMOTE"] / points)
                    for size, scene in _sweep(name, number)
                ]
                for number in (50, 100, _DIALOGUES)
            }
            for name in ("gain", "regression")
        }
    _FOLDER.mkdir(parents=True, exist_ok=True)
    _draw(curves).savefig(_FOLDER / "power.png", dpi=150)
    print(f"picture: {_FOLDER / 'power.png'}", file=sys.stderr)
    rows = [
        Row(
            f"{name}, {scenes[name].num_dialogues} dialogues",
            " ".join(f"{k} {v / trials:.3f}" for k, v in c.items()),
            "",
            "",
        )
        for name, c in found.items()
    ]
    rows += [
        Row(f"95 % intervals that hold the truth, {d}", f"{c:.3f}", "", "")
        for d, c in covered.items()
    ]
    allowed = gate.alpha + 2 * np.sqrt(gate.alpha * (1 - gate.alpha) / trials)
    figures = {
        "aa_false_promotion": found["the same"]["PROMOTE"] / trials,
        "aa_false_promotion_40": found["the same, as few as by default"]["PROMOTE"] / trials,
        "power_regression": found["a regression"]["REJECT"] / trials,
        "regression_promoted": found["a regression"]["PROMOTE"] / trials,
        "power_gain": found["a gain"]["PROMOTE"] / trials,
        "coverage_95": float(np.mean(list(covered.values()))),
        "coverage_95_least": min(covered.values()),
        "coverage_95_most": max(covered.values()),
    }
    bounds: dict[str, Bound] = {
        "aa_false_promotion": ("max", float(allowed)),
        "aa_false_promotion_40": ("max", float(allowed)),
        "power_regression": ("min", 0.95),
        "power_gain": ("min", 0.80),
        "coverage_95_least": ("min", 0.93),
        "coverage_95_most": ("max", 0.97),
    }
    return report("statistics", rows, figures, bounds, quick=quick)


def _sweep(name: str, number: int) -> Iterator[tuple[float, Scene]]:
    """Sizes of the change, and the scenes in which it is true."""
    for size in (0.0, 0.01, 0.02, 0.03, 0.05, 0.08):
        if name == "gain":
            yield size, Scene(gain=size, num_dialogues=number)
        else:
            yield size, Scene(regression=size, gain=_GAIN, num_dialogues=number)


def _gate() -> Gate:
    """The gate of params.yaml, with those of its rules that test something, and the leak alarm."""
    gate = load_params(Path("params.yaml")).gate
    rules = tuple(rule for rule in gate.rules if rule.metric in _METRICS)
    return gate.model_copy(update={"rules": rules})


def _verdicts(
    pool: ProcessPoolExecutor, people: Population, gate: Gate, scene: Scene, trials: int
) -> Counter[Decision]:
    """How often which verdict came."""
    asked = functools.partial(_verdict, people, gate, scene)
    return Counter(pool.map(asked, range(trials), chunksize=max(1, trials // 16)))


def _verdict(people: Population, gate: Gate, scene: Scene, trial: int) -> Decision:
    """Of one drawn exam, or of that and as much again."""
    generator = np.random.default_rng([23, trial])
    scores: list[list[Score]] = [[], []]
    for domain, whole in people.items():
        number = len(whole["bits_per_byte"])
        # Of general ability there is no more than there is; of domains an exam may ask for more.
        most = number if domain in GENERAL else 2 * scene.num_dialogues
        chosen = generator.integers(number, size=min(most, 2 * scene.num_dialogues))
        swapped = generator.random(len(chosen)) < 0.5
        for metric, values in whole.items():
            drawn = values[chosen]
            ours = np.where(swapped, drawn[:, 1], drawn[:, 0])
            theirs = np.where(swapped, drawn[:, 0], drawn[:, 1])
            measured = {"candidate": {metric: ours}, "champion": {metric: theirs}}
            if metric == "bits_per_byte":
                ours *= 1 + scene.change(domain)
                measured["candidate"]["gain_over_base"] = drawn[:, 2] - ours
            for look, size in zip(scores, (scene.num_dialogues, len(drawn)), strict=True):
                for role, its in measured.items():
                    for name, each in its.items():
                        look.extend(_scores(role, domain, name, each[:size], drawn[:size, 3]))
    decision: Decision = "INCONCLUSIVE"
    for number, look in enumerate(scores, start=1):
        if decision == "INCONCLUSIVE":
            decision = judge(
                look,
                gate,
                Candidate(TARGET, "candidate", "parent"),
                "champion",
                exam_digest="",
                evidence_digest="",
                look=number,
                looks=len(scores),
            ).verdict
    return decision


def _scores(role: str, domain: str, metric: str, values: Floats, weights: Floats) -> list[Score]:
    assert role in ("candidate", "champion")
    return [
        Score(role, role, TARGET, domain, f"{index:05d}", metric, value, weight)  # type: ignore[arg-type]
        for index, (value, weight) in enumerate(zip(values.tolist(), weights.tolist(), strict=True))
        if not math.isnan(value)
    ]


def _coverage(people: Population, gate: Gate, trials: int) -> dict[str, float]:
    """Share of the 95 % intervals of the relative change that hold the population's own."""

    def change(totals: Floats) -> Floats:
        return (totals[..., 1] - totals[..., 0]) / totals[..., 1]

    covered = {}
    for domain in (*EARLIER, TARGET):
        whole = people[domain]["bits_per_byte"]
        truth = float(change(whole.sum(axis=0)))
        held = 0
        for trial in range(trials):
            generator = np.random.default_rng([29, trial])
            drawn = whole[generator.integers(len(whole), size=_DIALOGUES)]
            low, high = interval(bootstrap(drawn, change, gate.resamples, gate.seed))
            held += low <= truth <= high
        covered[domain] = held / trials
    return covered


def _draw(curves: Mapping[str, Mapping[int, Sequence[tuple[float, float]]]]) -> Figure:
    """Share of promotions against the size of the change, a line for each size of the exam."""
    titles = {
        "gain": "the target is better by",
        "regression": f"the target is {_GAIN:.0%} better, {EARLIER[0]} worse by",
    }
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (name, lines) in zip(axes, curves.items(), strict=True):
        for marker, (number, points) in zip("os^", islice(lines.items(), 3), strict=True):
            x, y = zip(*points, strict=True)
            axis.plot(
                [100 * v for v in x], y, marker=marker, markersize=4, label=f"{number} dialogues"
            )
        axis.set_xlabel(f"{titles[name]}, %")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share promoted")
    axes[1].legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    sys.exit(main())
