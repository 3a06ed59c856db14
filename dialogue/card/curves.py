"""Training curves: read from the tables that training leaves, thinned to what a page can show."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

_MAX_POINTS = 160
_SPAN = 0.05
"""Over this share of the curve the weight of a loss in the smooth line falls to 1/e."""


def read_curve(name: str, text: str) -> dict[str, Any]:
    """A curve from its CSV: steps, the loss of each, a smooth line through them, and its time.

    The smooth line is an exponential moving average, corrected for its beginning as in Kingma and
    Ba 2015 (Adam), section 3. Of a long curve every point is the mean of equally many steps.

    Args:
        name: what was trained.
        text: a header with `step`, `loss` and `seconds`, perhaps `held_out_loss`; a row a step.

    Raises:
        ValueError: a column is missing, a row is cut off, or a cell is no number.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    try:
        steps = [float(row["step"]) for row in rows]
        losses = [float(row["loss"]) for row in rows]
        seconds = [float(row["seconds"]) for row in rows]
        held_out = [
            (float(row["step"]), float(value))
            for row in rows
            if (value := row.get("held_out_loss"))
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the curve of {name}: {error}; run its stage again") from error
    smooth = _smooth(losses)
    groups = _groups(len(rows))
    return {
        "name": name,
        "num_steps": len(rows),
        "seconds": seconds[-1] if seconds else None,
        "steps": [_finite(steps[group[-1]]) for group in groups],
        "loss": [_mean(losses[group.start : group.stop]) for group in groups],
        "smooth": [_finite(smooth[group[-1]]) for group in groups],
        "held_out": [[step, value] for step, value in held_out if math.isfinite(value)],
    }


def _groups(count: int) -> list[range]:
    size = max(1, math.ceil(count / _MAX_POINTS))
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def _smooth(values: Sequence[float]) -> list[float]:
    decay = math.exp(-1 / max(3.0, len(values) * _SPAN))
    smooth, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = decay * total + value, decay * weight + 1
        smooth.append(total / weight)
    return smooth


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
