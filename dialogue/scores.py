"""Scores: one row per model, exam domain, dialogue and metric, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dialogue.metrics import METRICS, Floats
from dialogue.tables import read_table, write_table

ModelRole = Literal["candidate", "champion", "parent", "base", "ancestor"]
"""`ancestor`: a row that an earlier round measured, kept for the lifelong matrix."""

SCHEMA = pa.schema(
    [
        pa.field("model_role", pa.string(), nullable=False),
        pa.field("model_digest", pa.string(), nullable=False),
        pa.field("learned", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("dialogue_id", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
    ]
)
"""`learned` is the domain that the model learned last, `domain` the one it is examined on."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one dialogue contributes to one metric of one model."""

    model_role: ModelRole
    model_digest: str
    learned: str
    domain: str
    dialogue_id: str
    metric: str
    value: float
    weight: float


class Key(NamedTuple):
    """Whose scores, on what, in which metric."""

    role: ModelRole
    learned: str
    domain: str
    metric: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric of one model on one domain: a row per dialogue, sorted by id; n dialogues."""

    ids: NDArray[np.str_]
    value: Floats
    weight: Floats

    @property
    def count(self) -> int:
        """Of how many dialogues the metric says something: one that weighs nothing is none."""
        return int(np.count_nonzero(self.weight))


def write_scores(path: Path, scores: Iterable[Score]) -> int:
    """Write scores; returns how many there are. No score at all is fine."""
    rows = [_row(score) for score in scores]
    write_table(path, SCHEMA, rows)
    return len(rows)


def read_scores(path: Path) -> list[Score]:
    """Read scores back in file order.

    Raises:
        ValueError: the file is missing, damaged or not in the scores' schema.
    """
    return [Score(**row) for row in read_table(path, SCHEMA, "scores")]


def collect(scores: Iterable[Score]) -> dict[Key, Sample]:
    """Group scores by model, domain and metric, in order of first appearance.

    Raises:
        ValueError: a dialogue was scored twice, a metric is unknown or a weight negative.
    """
    groups: dict[Key, list[Score]] = {}
    for score in scores:
        key = Key(score.model_role, score.learned, score.domain, score.metric)
        groups.setdefault(key, []).append(score)
    return {key: _sample(key, group) for key, group in groups.items()}


def estimate(metric: str, sample: Sample) -> float:
    """The metric over all dialogues of a sample; NaN where it is undefined."""
    return float(METRICS[metric](sample.value.sum(), sample.weight.sum()))


def values_of(samples: Mapping[Key, Sample], role: ModelRole) -> dict[str, dict[str, float]]:
    """Every metric of one role: domain → metric → value, leaving undefined ones out."""
    values: dict[str, dict[str, float]] = {}
    for key, value in _estimates(samples, role):
        values.setdefault(key.domain, {})[key.metric] = value
    return values


def gains_over_base(scores: Iterable[Score], base: Iterable[Score]) -> list[Score]:
    """`gain_over_base` from bits per byte: the base's bits minus the model's, by dialogue."""
    bits = {
        (score.domain, score.dialogue_id): score.value
        for score in base
        if score.metric == "bits_per_byte"
    }
    return [
        replace(
            score,
            metric="gain_over_base",
            value=bits[score.domain, score.dialogue_id] - score.value,
        )
        for score in scores
        if score.metric == "bits_per_byte" and (score.domain, score.dialogue_id) in bits
    ]


def _estimates(samples: Mapping[Key, Sample], role: ModelRole) -> Iterator[tuple[Key, float]]:
    for key, sample in samples.items():
        if key.role == role and np.isfinite(value := estimate(key.metric, sample)):
            yield key, value


def _row(score: Score) -> dict[str, Any]:
    return {name: getattr(score, name) for name in SCHEMA.names}


def _sample(key: Key, group: list[Score]) -> Sample:
    if key.metric not in METRICS:
        raise ValueError(f"scores of the unknown metric `{key.metric}`; run evaluate again")
    group = sorted(group, key=lambda score: score.dialogue_id)
    ids = np.array([score.dialogue_id for score in group])
    weight = np.array([score.weight for score in group], dtype=np.float64)
    if len(np.unique(ids)) < len(ids):
        raise ValueError(f"scores of {key.role} on {key.domain}: a dialogue has two {key.metric}")
    if (weight < 0).any():
        raise ValueError(f"scores of {key.role} on {key.domain}: negative weight in {key.metric}")
    value = np.array([score.value for score in group], dtype=np.float64)
    return Sample(ids, value, weight)
