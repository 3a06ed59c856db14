"""The four sets of ../shared/data, each held against a count that knows nothing of the formats."""

from __future__ import annotations

import collections
import csv
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dialogue.records import Dialogue, Reject

SHARED = Path(__file__).parents[3] / ".." / "shared" / "data"

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")

Read = Callable[..., list[Dialogue | Reject]]
DOMAINS = (
    "alarm", "banks", "buses", "calendar", "events", "flights", "homes", "hotels", "media",
    "movies", "music", "rentalcars", "restaurants", "ridesharing", "services", "travel", "weather",
)  # fmt: skip


def dialogues_of(rows: list[Dialogue | Reject]) -> list[Dialogue]:
    return [row for row in rows if isinstance(row, Dialogue)]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_dailydialog(rows_of: Read, language: str) -> None:
    path = SHARED / "dailydialog" / f"validation.{language}.txt"
    rows = rows_of(path, "eou")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(rows) == len(lines) == 995
    dialogues = dialogues_of(rows)
    assert len(dialogues) == len(rows)
    # An odd number of utterances ends with the user's, which is cut off.
    counted = sum(line.count("__eou__") // 2 * 2 for line in lines)
    assert sum(len(dialogue.turns) for dialogue in dialogues) == counted
    han = re.compile(r"[\u4e00-\u9fff]")
    assert sum(bool(han.search(each.turns[0].text)) for each in dialogues) > 980 or language == "en"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_emotions_of_dailydialog(rows_of: Read, language: str) -> None:
    path = SHARED / "dailydialog" / f"validation.{language}.txt"
    dialogues = dialogues_of(rows_of(path, "eou_emotion", question="Which emotion?"))
    counted: collections.Counter[str] = collections.Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        counted.update(line.rsplit("\t", 1)[1].split())
    names = ("no emotion", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
    found = collections.Counter(dialogue.label for dialogue in dialogues)
    assert found == {names[int(number)]: count for number, count in counted.items()}
    splits: dict[str, set[str]] = {}
    for dialogue in dialogues:
        splits.setdefault(dialogue.turns[0].text.casefold(), set()).add(dialogue.split)
        assert dialogue.turns[1].text == dialogue.label
    assert len(splits) < len(dialogues), "some texts stand more than once"
    assert all(len(each) == 1 for each in splits.values())


def test_synthetic_persona_chat(rows_of: Read) -> None:
    path = SHARED / "persona_chat" / "validation.csv"
    rows = rows_of(path, "synthetic_persona_chat")
    with path.open(encoding="utf-8", newline="") as file:
        _, *conversations = list(csv.reader(file))
    assert len(rows) == len(conversations) == 1_000
    begun = [c for *_, c in conversations if re.match(r"[* ]*User [12]", c)]
    dialogues = dialogues_of(rows)
    assert len(dialogues) == len(begun) == 996
    assert {row.reason.partition(":")[0] for row in rows if isinstance(row, Reject)} == {
        "no speaker"
    }
    for dialogue in dialogues:
        assert dialogue.turns[0].text == dialogue.persona
        assert [turn.role for turn in dialogue.turns[:3]] == ["system", "user", "assistant"]
    assert not any(
        re.search(r"^\W*User [12]\W*:", turn.text, re.MULTILINE)
        for dialogue in dialogues
        for turn in dialogue.turns[1:]
    )


def test_ratings_are_read_as_a_table(rows_of: Read) -> None:
    """The conversations of the fourth set, as what a rater saw and how he liked it."""
    path = SHARED / "ratings" / "interactive_dialogues.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    columns = {"text": "context", "label": "coherent"}
    rows = rows_of(path, "labelled", columns=columns, question="How coherent, from 1 to 3?")
    assert len(rows) == len(lines) == 6_473
    found = collections.Counter(dialogue.label for dialogue in dialogues_of(rows))
    assert found == collections.Counter(
        str(line["coherent"]) for line in lines if line.get("coherent") is not None
    )


def test_schema_guided_dialogues_fall_into_domains_each_into_one(
    rows_of: Read, tmp_path: Path
) -> None:
    path = SHARED / "sgd" / "dialogues.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    counted = collections.Counter(line["services"][0].split("_")[0].lower() for line in lines)
    assert set(counted) == set(DOMAINS)
    rows = rows_of(path, "schema_guided")
    assert len(rows) == len(dialogues_of(rows)) == len(lines) == 14_272
    said = [[text for _, text in line["turns"]] for line in lines]
    for dialogue, texts in zip(dialogues_of(rows), said, strict=True):
        assert dialogue.turns[0].text == texts[0].strip()
    num_covered = 0
    for domain in DOMAINS:
        # Unpacked once for all: the file is read seventeen times.
        found = _selected(tmp_path, lines, rows_of, domain)
        assert len(found) == counted[domain] > 30
        num_covered += len(found)
    assert num_covered == 14_272


def _selected(folder: Path, lines: list[Any], rows_of: Read, domain: str) -> list[Dialogue]:
    path = folder / "all.jsonl"
    if not path.exists():
        short = [{**line, "turns": line["turns"][:2]} for line in lines]
        path.write_text("".join(json.dumps(line) + "\n" for line in short))
    rows = rows_of(path, "schema_guided", select={"service": domain})
    assert len(rows) == len(lines)
    assert {row.kind for row in rows if isinstance(row, Reject)} == {"scope"}
    return dialogues_of(rows)
