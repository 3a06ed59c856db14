from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from dialogue.metrics import METRICS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_section_with_its_direction(name: str) -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    section = re.search(rf"^### `{name}`\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE)
    assert section, f"docs/metrics.md has no section `{name}`"
    for word in (f"{METRICS[name].better} is better", "Range", "Does not see"):
        assert word in section[1], f"docs/metrics.md, {name}: says nothing of `{word}`"


def test_no_section_is_of_a_metric_that_is_gone() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### `(\w+)`$", text, re.MULTILINE)) == set(METRICS)


def test_a_metric_takes_sums_of_any_shape() -> None:
    value, weight = np.array([[2.0, 3.0], [0.0, 1.0]]), np.array([[1.0, 2.0], [0.0, 4.0]])
    ratio = METRICS["bits_per_byte"](value, weight)
    assert ratio[0].tolist() == [2.0, 1.5]
    assert math.isnan(ratio[1, 0])
    assert METRICS["response_perplexity"](value, weight)[0] == pytest.approx(np.exp([2.0, 1.5]))


def test_a_perplexity_beyond_numbers_is_infinite_and_no_warning() -> None:
    assert METRICS["response_perplexity"](np.array(1e6), np.array(1.0)) == math.inf
