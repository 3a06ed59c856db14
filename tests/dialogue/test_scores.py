from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dialogue.scores import (
    Key,
    Score,
    collect,
    estimate,
    gains_over_base,
    read_scores,
    values_of,
    write_scores,
)

KEY = Key("candidate", "support", "chitchat", "bits_per_byte")


def score(dialogue: str, value: float, weight: float = 1.0, metric: str = KEY.metric) -> Score:
    return Score("candidate", "a" * 64, KEY.learned, KEY.domain, dialogue, metric, value, weight)


def test_scores_come_back_as_they_were(tmp_path: Path) -> None:
    scores = [score("b", 1.5, 2.0), score("a", math.nan)]
    assert write_scores(tmp_path / "deep" / "rows.parquet", scores) == 2
    back = read_scores(tmp_path / "deep" / "rows.parquet")
    assert back[0] == scores[0]
    assert math.isnan(back[1].value)


def test_no_scores_are_a_file_too(tmp_path: Path) -> None:
    assert write_scores(tmp_path / "rows.parquet", []) == 0
    assert read_scores(tmp_path / "rows.parquet") == []


def test_equal_scores_make_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_scores(tmp_path / name, [score("a", 1.0), score("b", 2.0)])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_missing_damaged_or_strange_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    with pytest.raises(ValueError, match=r"rows\.parquet: no such scores"):
        read_scores(path)
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ValueError, match=r"rows\.parquet: damaged"):
        read_scores(path)
    pq.write_table(pa.table({"metric": ["x"]}), path)
    with pytest.raises(ValueError, match=r"rows\.parquet: columns"):
        read_scores(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_scores(path, [score(str(i), float(i)) for i in range(2_000)])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        read_scores(path)


def test_a_metric_is_the_sum_of_values_over_the_sum_of_weights() -> None:
    samples = collect([score("b", 9.0, 3.0), score("a", 1.0, 1.0)])
    assert samples[KEY].ids.tolist() == ["a", "b"]
    assert estimate(KEY.metric, samples[KEY]) == pytest.approx(10 / 4)
    assert values_of(samples, "candidate") == {"chitchat": {KEY.metric: pytest.approx(2.5)}}
    assert values_of(samples, "champion") == {}


def test_perplexity_is_the_exponential_of_the_ratio() -> None:
    samples = collect([score("a", 6.0, 2.0, "response_perplexity")])
    value = estimate("response_perplexity", next(iter(samples.values())))
    assert value == pytest.approx(math.exp(3))


def test_what_has_no_weight_or_is_nan_has_no_value() -> None:
    assert values_of(collect([score("a", 0.0, 0.0)]), "candidate") == {}
    assert values_of(collect([score("a", math.nan), score("b", 1.0)]), "candidate") == {}


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([score("a", 1.0), score("a", 2.0)], "a dialogue has two"),
        ([score("a", 1.0, -1.0)], "negative weight"),
        ([score("a", 1.0, metric="charm")], "unknown metric `charm`"),
    ],
)
def test_impossible_scores_are_refused(scores: list[Score], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        collect(scores)


def test_the_gain_is_the_bases_bits_minus_the_models() -> None:
    mine = [score("a", 10.0, 8.0), score("b", 1.0, 4.0), score("a", 5.0, 2.0, "hits_at_1")]
    base = [replace(score("a", 14.0, 8.0), model_role="base")]
    gains = gains_over_base(mine, base)
    assert gains == [replace(mine[0], metric="gain_over_base", value=4.0)]
