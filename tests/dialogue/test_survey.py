from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dialogue.records import Dialogue, Turn, content_digest, read_batches, write_dialogues
from dialogue.survey import Survey


def dialogue(said: str, split: Any = "train", system: str | None = None, **more: Any) -> Dialogue:
    turns = (Turn("user", said), Turn("assistant", f"{said}!"))
    if system:
        turns = (Turn("system", system), *turns)
    name = content_digest(turns)[:16]
    return Dialogue(name, turns, "chat", split, "s", f"f:{said}", "MIT", "0" * 64, **more)


@pytest.fixture
def tables(tmp_path: Path) -> list[pa.Table]:
    made = [
        dialogue("a" * 300, label="long"),
        dialogue("b", "test", system="be kind", label="short"),
        dialogue("c", "validation", label="short"),
        dialogue("d"),
    ]
    write_dialogues(tmp_path / "d.parquet", made)
    (table,) = read_batches(tmp_path / "d.parquet")
    return [table.slice(0, 5), table.slice(5, 2), table.slice(7)]


def test_one_pass_tells_who_the_dialogues_are(tables: list[pa.Table]) -> None:
    survey = Survey("chat", 1.0)
    texts = list(survey.texts(tables))
    assert texts[1] == ["b", "b!"]
    assert survey.sample == dict(enumerate(texts))
    assert survey.facts["num_turns"].tolist() == [2, 3, 2, 2]
    assert survey.facts is survey.facts
    rows = survey.identities.to_pylist()
    assert [row["split"] for row in rows] == ["train", "test", "validation", "train"]
    assert [row["origin"] for row in rows] == ["f:" + "a" * 300, "f:b", "f:c", "f:d"]
    assert survey.beginning(0) == "a" * 200
    assert survey.beginning(1) == "be kind"
    assert survey.beginning(3) == "d"
    assert survey.labels == {"long": 1, "short": 2}


def test_the_sample_depends_on_the_ids_alone(tmp_path: Path) -> None:
    made = [dialogue(f"number {number}") for number in range(400)]
    write_dialogues(tmp_path / "all.parquet", made)
    write_dialogues(tmp_path / "half.parquet", made[200:])
    whole, part = Survey("chat", 0.25), Survey("chat", 0.25)
    for survey, name in ((whole, "all"), (part, "half")):
        list(survey.texts(read_batches(tmp_path / f"{name}.parquet")))
    assert 70 < len(whole.sample) < 130
    assert [texts for row, texts in whole.sample.items() if row >= 200] == [*part.sample.values()]


def test_the_question_of_labelled_dialogues_is_not_compared(tmp_path: Path) -> None:
    made = [dialogue("so\nWhich?", label="a"), dialogue("not a\nquestion")]
    write_dialogues(tmp_path / "d.parquet", made)
    survey = Survey("chat", 1.0)
    texts = list(survey.texts(read_batches(tmp_path / "d.parquet")))
    assert [first for first, _ in texts] == ["so", "not a\nquestion"]
    assert survey.sample[0][0] == "so\nWhich?"


def test_nothing_to_survey() -> None:
    survey = Survey("chat", 1.0)
    assert list(survey.texts([])) == []
    assert survey.facts["num_turns"].tolist() == []
    assert survey.identities.num_rows == 0
