"""What docs/data.md says of sources is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from dialogue.config import FileSource, Source
from dialogue.sources import KINDS
from dialogue.sources.formats import FORMATS, TEXT_FORMATS

ROOT = Path(__file__).parents[3]
SECTION = (ROOT / "docs" / "data.md").read_text(encoding="utf-8").split("\n## ")[1]


def test_every_kind_and_format_is_described() -> None:
    assert SECTION.startswith("Sources")
    cells = [line.split("|")[1] for line in SECTION.splitlines() if line.startswith("| `")]
    named = {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)}
    assert named - {"__eou__"} >= {*KINDS, *FORMATS, *TEXT_FORMATS}


def test_every_option_is_one_of_its_format() -> None:
    for line in SECTION.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        name = cells[1].strip("`") if len(cells) > 3 else ""
        if name in FORMATS:
            options = re.findall(r"`([a-z]+): ", cells[3])
            assert set(options) <= FORMATS[name].needs | FORMATS[name].takes, name
            assert set(options) >= FORMATS[name].needs, name


def test_the_whole_example_is_a_source() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    for source in yaml.safe_load(block).values():
        found = TypeAdapter[Source](Source).validate_python(source)
        assert isinstance(found, FileSource)
        assert found.format in FORMATS
