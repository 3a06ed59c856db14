from __future__ import annotations

from pathlib import Path

from dialogue.exam import compose_exam
from dialogue.instructions import FILE, plain_instructions

ROOT = Path(__file__).parents[2]


def test_each_has_one_short_answer_and_an_id_of_its_own() -> None:
    asked = plain_instructions()
    assert len({each.id for each in asked}) == len(asked) >= 100
    for each in asked:
        assert [turn.role for turn in each.turns] == ["user", "assistant"], each.origin
        assert all(turn.text == turn.text.strip() != "" for turn in each.turns), each.origin
        assert len(each.turns[1].text) <= 120, each.origin
    assert plain_instructions() == asked


def test_all_of_them_are_one_domain_of_the_exam() -> None:
    asked = plain_instructions()
    exam = compose_exam([*asked, *asked], 40)
    assert list(exam) == ["instructions"]
    assert [each.id for each in exam["instructions"]] == sorted(each.id for each in asked)[:40]


def test_no_source_of_training_data_reads_them() -> None:
    settings = [ROOT / "params.yaml", *(ROOT / "profiles").glob("*.yaml")]
    assert all(FILE.name not in path.read_text() for path in settings)
