"""params.yaml edited in place: what was not meant to change does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dialogue.config import load_params
from tasks.settings import append_entry, edited_params, read_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def test_a_changed_value_changes_its_line_only(params: Path) -> None:
    before = params.read_text().splitlines()
    with edited_params(params) as settings:
        settings["gate"]["alpha"] = 0.01
    changed = [
        (old, new)
        for old, new in zip(before, params.read_text().splitlines(), strict=True)
        if old != new
    ]
    assert changed == [("  alpha: 0.05", "  alpha: 0.01")]


def test_entries_go_to_the_end_of_their_section(params: Path) -> None:
    before = params.read_text()
    source = {"kind": "file", "path": "a.jsonl", "format": "messages", "licence": "MIT"}
    with edited_params(params) as settings:
        for name, after in (("first", "assistant"), ("second", "first")):
            append_entry(settings["curriculum"], name, {"after": after}, inline=True)
            append_entry(settings["ingest"]["sources"], name, source, inline=False)
    after = params.read_text()
    assert "  first: {after: assistant}\n  second: {after: first}\n\ningest:\n" in after
    block = "      kind: file\n      path: a.jsonl\n      format: messages\n      licence: MIT\n"
    assert f"    first:\n{block}    second:\n{block}\n# The unlabelled text" in after
    added = [line for line in after.splitlines() if line not in before.splitlines()]
    assert len(added) == 2 + 2 * 4
    assert load_params(params).candidate == "second"


def test_an_invalid_value_is_refused_and_the_file_stays(params: Path) -> None:
    before = params.read_text()

    def edit() -> None:
        with edited_params(params) as settings:
            settings["gate"]["alpha"] = 7

    with pytest.raises(ValueError, match=rf"{params}: `gate\.alpha` is 7") as caught:
        edit()
    assert ".params" not in str(caught.value)
    assert params.read_text() == before
    assert [path.name for path in params.parent.iterdir()] == ["params.yaml"]


def test_nothing_is_written_where_nothing_changed_or_the_block_failed(params: Path) -> None:
    stamp = params.stat()
    with edited_params(params):
        pass

    def edit() -> None:
        with edited_params(params) as settings:
            settings["gate"]["alpha"] = 0.01
            del settings["gates"]

    with pytest.raises(KeyError):
        edit()
    assert params.stat() == stamp


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no such file"), ("a: [", "not valid YAML"), ("- a", "expected settings")],
)
def test_unreadable_files_are_one_line(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_settings(path)
    assert "\n" not in str(caught.value)
