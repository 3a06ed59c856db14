from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from dialogue.config import DataRule, FileSource, Params, Validate
from dialogue.containment import grams
from dialogue.fingerprints import read_fingerprints, write_fingerprints
from dialogue.log import SilentLog
from dialogue.manifest import verify_manifest, write_manifest
from dialogue.privacy import Scrubber
from dialogue.records import (
    SCHEMA,
    Dialogue,
    Reject,
    Turn,
    content_digest,
    read_dialogues,
    read_rejects,
    write_dialogues,
    write_rejects,
)
from dialogue.sources import raw_files, read
from tasks import _evidence
from tasks.validate import validate

SHARED = Path(__file__).parents[2] / "../shared/data"
LENIENT = {"num_dialogues": 3, "num_test_dialogues": 1}


def dialogue(asked: str, split: Any = "train", num_turns: int = 2, **more: Any) -> Dialogue:
    turns = tuple(
        Turn("assistant" if index % 2 else "user", f"{asked} {index}") for index in range(num_turns)
    )
    return made(turns, split, f"f:{asked}", **more)


def made(turns: tuple[Turn, ...], split: Any, origin: str, **more: Any) -> Dialogue:
    name = content_digest(turns)[:16]
    return Dialogue(name, turns, "chat", split, "s", origin, "MIT", "0" * 64, **more)


GOOD = [
    dialogue("where do the wild geese go in winter, please"),
    dialogue("could you sing me a song about trains and rain"),
    dialogue("my printer eats every second page I give to it", "test"),
    dialogue("is there a good bakery near the old town hall", "validation"),
]


class Project:
    """Domains in a folder, one after the other, and what validation leaves of each."""

    def __init__(self, folder: Path, params: Params) -> None:
        self.folder = folder
        self.settings = settings(params.validate_)
        self.params = params
        self.rejects: list[Reject] = []
        write_fingerprints(folder / "fingerprints" / "base")

    def write(self, dialogues: list[Dialogue], domain: str = "chat", **counts: int) -> None:
        """What ingest would have left."""
        records = self.folder / "records" / domain
        theirs = [replace(each, domain=domain) for each in dialogues]
        write_dialogues(records / "dialogues.parquet", theirs)
        write_rejects(records / "rejects.parquet", self.rejects)
        found = {
            "num_read": len(dialogues),
            "num_dialogues": len(dialogues),
            "num_faults": 0,
            "num_duplicates": 0,
            "num_out_of_scope": 0,
            **counts,
        }
        (records / "counts.json").write_text(json.dumps(found))
        write_manifest(records)

    def rewrite(self, change: Callable[[list[dict[str, Any]]], None]) -> None:
        """Change the rows of the records as no code of ours would."""
        path = self.folder / "records" / "chat" / "dialogues.parquet"
        rows = pq.read_table(path).to_pylist()
        change(rows)
        loose = pa.schema([pa.field(field.name, field.type) for field in SCHEMA])
        pq.write_table(pa.Table.from_pylist(rows, loose), path, write_page_checksum=True)
        write_manifest(path.parent)

    def validate(
        self, domain: str = "chat", after: str = "base", **rules: DataRule
    ) -> dict[str, Any]:
        """Validate under other rules, where some are given; returns the report."""
        section = self.settings.model_copy(update={"rules": {**self.settings.rules, **rules}})
        validate(
            self.params.model_copy(update={"validate_": section}),
            SilentLog(),
            domain=domain,
            records=self.folder / "records" / domain,
            earlier=self.folder / "fingerprints" / after,
            valid=self.folder / "valid" / domain,
            fingerprints=self.folder / "fingerprints" / domain,
            docs=self.folder / "docs" / domain,
            report=self.folder / f"{domain}.json",
            profile=self.folder / f"{domain}.profile.json",
        )
        return self.report(domain)

    def report(self, domain: str = "chat") -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / f"{domain}.json").read_text())
        return content

    def page(self, domain: str = "chat") -> str:
        return (self.folder / "docs" / domain / "index.html").read_text()

    def kept(self, domain: str = "chat") -> list[Dialogue]:
        return list(read_dialogues(self.folder / "valid" / domain / "dialogues.parquet"))

    def set_aside(self, domain: str = "chat") -> list[Reject]:
        return list(read_rejects(self.folder / "valid" / domain / "rejects.parquet"))


def settings(section: Validate) -> Validate:
    """The project's own settings, for a handful of short dialogues and without an embedder."""
    rules = dict(section.rules)
    for name, least in LENIENT.items():
        rules[name] = DataRule(min=least, action="stop")  # type: ignore[index]
    rules["rejected_share"] = DataRule(max=0.5, action="stop")
    rules["duplicate_share"] = DataRule(max=0.5, action="stop")
    bounds = {"max_turn_characters": 100, "max_turns": 6, "embedder": None, "domains": {}}
    return section.model_copy(update={**bounds, "rules": rules})


@pytest.fixture
def project(tmp_path: Path, params: Params) -> Project:
    made = Project(tmp_path, params)
    made.write(GOOD)
    return made


def at_most(bound: float, action: Any = "stop") -> DataRule:
    return DataRule(max=bound, action=action)


def at_least(bound: float, action: Any = "stop") -> DataRule:
    return DataRule(min=bound, action=action)


def test_good_records_pass_as_they_are(project: Project) -> None:
    report = project.validate()
    assert report["num_failures"] == 0
    assert report["num_expectations"] > 20
    assert report["failures"] == []
    assert report["not_asked"]["leaked_dialogues"] == "neither a domain nor a text came before"
    assert project.kept() == GOOD
    assert project.set_aside() == []
    assert "expectations are met" in project.page()
    verify_manifest(project.folder / "valid" / "chat")
    memory = read_fingerprints(project.folder / "fingerprints" / "chat")
    assert memory.domains[0].facts.column("origin").to_pylist() == [each.origin for each in GOOD]


def test_equal_records_leave_equal_bytes(project: Project) -> None:
    project.validate()
    first = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    project.validate()
    for name in ("valid", "fingerprints", "chat.json", "chat.profile.json"):
        left = {path for path in first if path.is_relative_to(project.folder / name)}
        assert left
        assert all(path.read_bytes() == first[path] for path in left)


def test_the_page_loads_nothing_and_nothing_else_is_left(project: Project) -> None:
    project.validate()
    assert "http:" not in project.page()
    assert "https:" not in project.page()
    assert "<script" not in project.page()
    assert "default-src 'none'" in project.page()
    left = sorted(path.name for path in project.folder.iterdir())
    expected = ["chat.json", "chat.profile.json", "docs", "fingerprints", "records", "valid"]
    assert left == expected


def test_validation_says_nothing(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project.validate()
    assert capfd.readouterr() == ("", "")


def test_faulty_dialogues_are_set_aside_with_those_of_ingest(project: Project) -> None:
    project.rejects = [Reject("f:0", "not JSON: x", "{")]
    faulty = [
        dialogue("x" * 100),
        dialogue("e", num_turns=8),
        dialogue("f\ufffd"),
        dialogue("\0"),
        dialogue("cafÃ©"),
    ]
    project.write([*GOOD, *faulty], num_read=10, num_faults=1)
    report = project.validate(rejected_share=at_most(0.7))
    assert report["num_set_aside"] == 5
    assert report["rejected_share"] == pytest.approx(1 / 10 + 5 / 9)
    assert project.kept() == GOOD
    assert [row.reason for row in project.set_aside()] == [
        "not JSON: x",
        "turn too long: 102 characters, at most 100",
        "too many turns: 8, at most 6",
        "damaged text: holds U+FFFD",
        "damaged text: holds NUL",
        "damaged text: holds mojibake",
    ]
    assert project.set_aside()[1].origin == f"f:{'x' * 100}"
    assert "turn too long: 102 characters" in project.page()
    assert "not JSON: x" in project.page()


def test_a_failure_names_all_and_leaves_page_and_report_but_no_data(project: Project) -> None:
    project.write(GOOD, num_read=10, num_faults=2, num_duplicates=4)
    with pytest.raises(ValueError, match="not met") as raised:
        project.validate(
            num_dialogues=at_least(50), rejected_share=at_most(0.1), duplicate_share=at_most(0.3)
        )
    fewer, rejected, repeated = str(raised.value).splitlines()
    assert fewer.startswith(
        "chat: not met: at least 50 dialogues (validate.rules.num_dialogues); found 4"
    )
    assert "expect_column_min_to_be_between with column=num_dialogues, min_value=50" in fewer
    assert str(project.folder / "chat.json") in fewer
    assert str(project.folder / "docs" / "chat" / "index.html") in fewer
    assert "at most 10% of the rows set aside as faulty" in rejected
    assert "found 0.4" in repeated
    assert project.report()["num_failures"] == 3
    assert "3 of" in project.page()
    left = sorted(path.name for path in project.folder.iterdir())
    assert left == ["chat.json", "docs", "fingerprints", "records"]


def test_a_rule_that_warns_lets_pass_and_is_shown(project: Project) -> None:
    report = project.validate(num_dialogues=at_least(50, "warn"))
    assert (report["num_failures"], report["num_warnings"]) == (0, 1)
    assert report["warnings"][0]["rule"] == "num_dialogues"
    assert "! warns" in project.page()
    assert project.kept() == GOOD


def test_a_domain_overrides_a_rule_and_says_why(project: Project) -> None:
    strict = {"num_dialogues": at_least(50)}
    own = DataRule(min=2, action="stop", reason="a pilot <of> few")
    project.settings = project.settings.model_copy(
        update={"domains": {"other": {}, "ch*": {"num_dialogues": own}}}
    )
    assert project.validate(**strict)["num_failures"] == 0
    assert "validate.domains.ch*.num_dialogues: a pilot &lt;of&gt; few" in project.page()
    project.settings = project.settings.model_copy(update={"domains": {"other": {}}})
    with pytest.raises(ValueError, match=r"validate.rules.num_dialogues"):
        project.validate(**strict)


def test_each_expectation_bites(project: Project) -> None:
    """Every dialogue of a project broken in another way."""
    project.write([invented(number, "train", "many") for number in range(10)])
    broken: dict[str, tuple[int, dict[str, Any]]] = {
        "turns are numbered from 0 on": (1, {"turn": 7}),
        "a turn's role is system, user or assistant": (2, {"role": "<script>bot</script>"}),
        "user and assistant take turns": (3, {"role": "user"}),
        "no dialogue is in two splits": (4, {"split": "test"}),
        "a split is train, validation or test": (5, {"split": "dev"}),
        "all turns are of chat": (6, {"domain": "elsewhere"}),
        "`licence` is filled in": (7, {"licence": None}),
        "no dialogue stands in the records twice": (8, {"dialogue_id": "a" * 16}),
    }

    def change(rows: list[dict[str, Any]]) -> None:
        for number, values in broken.values():
            rows[6 * number + 1] |= values
        for turn in range(6):
            rows[6 * 8 + turn]["dialogue_id"] = rows[0]["dialogue_id"]

    project.rewrite(change)
    project.settings = project.settings.model_copy(update={"max_turn_characters": 4000})
    with pytest.raises(ValueError, match="not met") as raised:
        project.validate(num_test_dialogues=at_least(0))
    lines = str(raised.value).splitlines()
    for said in broken:
        assert any(said in line for line in lines), said
        assert said.replace("'", "&#39;") in project.page()
        failures = project.report()["failures"]
        assert [failure for failure in failures if said in failure["description"]]
    assert "<script" not in project.page()


def test_other_typography_in_another_split_stops_the_chain(project: Project) -> None:
    copy = tuple(Turn(turn.role, turn.text.upper() + "!") for turn in GOOD[0].turns)
    project.write([*GOOD, made(copy, "test", "f:copy")])
    with pytest.raises(ValueError, match="no dialogues that nearly repeat one of another split"):
        project.validate()


def test_a_turn_without_text_is_set_aside(project: Project) -> None:
    project.write([*GOOD, dialogue("e")])

    def empty(rows: list[dict[str, Any]]) -> None:
        rows[8]["text"] = None

    project.rewrite(empty)
    assert project.validate()["num_set_aside"] == 1


def test_no_dialogue_at_all_fails_and_leaves_the_page(project: Project) -> None:
    project.write([])
    with pytest.raises(ValueError, match="at least 3 dialogues"):
        project.validate()
    assert "at least 3 dialogues" in project.page()


def test_what_ingest_did_not_leave_or_what_was_changed_is_told(project: Project) -> None:
    records = project.folder / "records" / "chat"
    (records / "counts.json").write_text("{}")
    with pytest.raises(ValueError, match=r"counts.json: damaged"):
        project.validate()
    (records / "counts.json").unlink()
    with pytest.raises(ValueError, match=r"counts.json: missing"):
        project.validate()
    project.write(GOOD)
    shutil.rmtree(project.folder / "fingerprints" / "base")
    with pytest.raises(ValueError, match="no fingerprints; run the stage"):
        project.validate()


# --- what is held out, and found again ----------------------------------------------------------


WORDS = """
river lamp quiet market window garden seven paper music walk bread silver letter winter road
kitchen story cloud teacher bicycle morning coffee island engine yellow ticket harbour stone
""".split()  # noqa: SIM905 - readable as it stands


def invented(number: int, split: Any, seed: str) -> Dialogue:
    words = random.Random(f"{seed} {number}")
    turns = tuple(
        Turn("assistant" if turn % 2 else "user", " ".join(words.choices(WORDS, k=12)) + ".")
        for turn in range(6)
    )
    return made(turns, split, f"{seed}.txt:{number}")


def of_daily_dialog(which: slice) -> list[Dialogue]:
    path = SHARED / "dailydialog" / "validation.en.txt"
    if not path.exists():
        pytest.skip("../shared/data is not here")
    source = FileSource(kind="file", path=str(path), format="eou", licence="CC BY-NC-SA 4.0")
    rows = read(
        source,
        raw_files(source),
        "chat",
        test_share=0.15,
        validation_share=0.05,
        scrubber=Scrubber(("email", "phone", "card", "iban", "ip", "key")),
        max_row_bytes=1 << 20,
    )
    found = [row for row in rows if isinstance(row, Dialogue) and len(row.turns) >= 6]
    return found[which]


Domains = tuple[Project, list[Dialogue], list[Dialogue]]
SOME = at_most(9)
"""Real corpora have a few straddling near-duplicates of their own."""


@pytest.fixture(scope="module", params=["invented", "dailydialog"])
def validated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, params: Params
) -> Domains:
    """A project whose first domain is validated, with its dialogues and those of its second."""
    if request.param == "invented":
        splits = ("train", "train", "train", "test", "validation")
        first = [invented(n, splits[n % 5], "first") for n in range(20)]
        second = [invented(n, splits[n % 5], "second") for n in range(20)]
    else:
        first, second = of_daily_dialog(slice(0, 150)), of_daily_dialog(slice(300, 400))
    project = Project(tmp_path_factory.mktemp("validated"), params)
    bounds = {"max_turn_characters": 4000, "max_turns": 100}
    project.settings = project.settings.model_copy(update=bounds)
    project.write(first, "first")
    project.validate("first", straddling_dialogues=SOME)
    project.write(second, "second")
    report = project.validate("second", after="first", straddling_dialogues=SOME)
    assert report["leaked_dialogues"] == 0
    return project, project.kept("first"), project.kept("second")


@pytest.fixture
def two_domains(validated: Domains, tmp_path: Path) -> Domains:
    """The same in a folder of its own."""
    project, first, second = validated
    shutil.copytree(project.folder, tmp_path, dirs_exist_ok=True)
    own = Project(tmp_path / "own", project.params)
    own.folder, own.settings = tmp_path, project.settings
    return own, first, second


def in_two_words(dialogue: Dialogue) -> tuple[Turn, ...]:
    """The same dialogue with a word changed in each of its two longest turns."""
    turns = list(dialogue.turns)
    for index in sorted(range(len(turns)), key=lambda index: -len(turns[index].text))[:2]:
        words = turns[index].text.split()
        words[len(words) // 2] = "something"
        turns[index] = Turn(turns[index].role, " ".join(words))
    assert turns != list(dialogue.turns)
    return tuple(turns)


WAYS = ("copied", "paraphrased", "under another id")


def planted(dialogue: Dialogue, way: str, split: Any = "train") -> Dialogue:
    turns = in_two_words(dialogue) if way == "paraphrased" else dialogue.turns
    copy = made(turns, split, f"planted.txt:{way}")
    return replace(copy, id="f" * 16) if way == "under another id" else copy


def planted_in_every_way(dialogues: list[Dialogue]) -> dict[str, tuple[Dialogue, Dialogue]]:
    """For every way a test dialogue, and what is planted of it into the training data."""
    victims = [each for each in dialogues if each.split == "test"]
    return {way: (v, planted(v, way)) for way, v in zip(WAYS, victims, strict=False)}


def test_planted_test_dialogues_of_an_earlier_domain_stop_the_chain(two_domains: Domains) -> None:
    project, first, second = two_domains
    planted = planted_in_every_way(first)
    project.write([*second, *(plant for _, plant in planted.values())], "second")
    with pytest.raises(ValueError, match="leaked_dialogues"):
        project.validate("second", after="first", leaked_dialogues=at_most(2))
    report = project.report("second")
    assert [failure["rule"] for failure in report["failures"]] == ["leaked_dialogues"]
    assert report["leaked_dialogues"] == 3
    for victim, plant in planted.values():
        assert victim.origin in project.page("second")
        assert plant.origin in project.page("second")


def test_planted_test_dialogues_are_never_learned(two_domains: Domains) -> None:
    project, first, second = two_domains
    planted = planted_in_every_way(first)
    project.write([*second, *(plant for _, plant in planted.values())], "second")
    project.validate("second", after="first", leaked_dialogues=at_most(0, "warn"))
    assert [each.id for each in project.kept("second")] == [each.id for each in second]
    reasons = {row.origin: row.reason for row in project.set_aside("second")}
    for victim, plant in planted.values():
        assert reasons[plant.origin] == f"leak: stands in first (test) as well: {victim.origin}"


def test_a_copy_that_the_hash_holds_out_too_stops_the_chain_as_well(two_domains: Domains) -> None:
    """Splits follow the content, so ingest puts a true copy into the test split again."""
    project, first, second = two_domains
    victim = next(each for each in first if each.split == "test")
    project.write([*second, planted(victim, "copied", "test")], "second")
    with pytest.raises(ValueError, match="leaked_dialogues"):
        project.validate("second", after="first")
    assert "both are held out" in project.page("second")


def test_an_exam_that_an_earlier_domain_learned_stops_the_chain(two_domains: Domains) -> None:
    project, first, second = two_domains
    victim = next(each for each in first if each.split == "train")
    project.write([*second, planted(victim, "paraphrased", "test")], "second")
    with pytest.raises(ValueError, match="leaked_dialogues"):
        project.validate("second", after="first")
    assert "it was learned already" in project.page("second")


def test_planted_test_dialogues_of_the_same_domain_are_set_aside_and_stop_the_chain(
    two_domains: Domains,
) -> None:
    project, _, second = two_domains
    planted = planted_in_every_way(second)
    project.write([*second, *(plant for _, plant in planted.values())], "second")
    with pytest.raises(ValueError, match="straddling_dialogues"):
        project.validate("second", straddling_dialogues=at_most(2))
    report = project.validate("second", straddling_dialogues=at_most(0, "warn"))
    assert report["straddling_dialogues"] == 3
    assert project.kept("second") == second
    rows = {row.origin: row for row in project.set_aside("second")}
    for victim, plant in planted.values():
        assert rows[plant.origin].reason == f"near-duplicate of {victim.origin}, which is test"
        assert rows[plant.origin].kind == "duplicate"
        assert victim.origin in project.page("second")
    assert "train gives way to test" in project.page("second")


def test_a_test_dialogue_in_the_text_of_pretraining_stops_the_chain(project: Project) -> None:
    exam = invented(1, "test", "exam")
    text = "Once upon a time. " + " ".join(turn.text for turn in exam.turns) + " The end."
    folder = project.folder / "fingerprints" / "base"
    write_fingerprints(folder, text=grams([text]))
    project.validate()
    project.write([*GOOD, exam])
    with pytest.raises(ValueError, match="leaked_dialogues"):
        project.validate()
    assert "plain text" in project.page()


# --- what a sample and an earlier version tell ------------------------------------------------


def test_language_abuse_and_personal_data_are_looked_for(project: Project) -> None:
    german = made(
        (
            Turn("user", "Guten Tag, wo finde ich bitte den nächsten Bahnhof in dieser Stadt?"),
            Turn("assistant", "Gehen Sie geradeaus und dann an der großen Kirche nach links."),
        ),
        "train",
        "f:german",
    )
    rude = dialogue("you are a stupid fucking idiot and an asshole")
    told = dialogue("please write to jane.miller@example.org")
    project.write([*GOOD, german, rude, told])
    with pytest.raises(ValueError, match="none of the sample with personal data") as raised:
        project.validate()
    assert len(str(raised.value).splitlines()) == 1
    report = project.report()
    assert report["personal_share"] == pytest.approx(1 / 7)
    assert report["language_share"] == pytest.approx(6 / 7)
    assert report["abusive_share"] == pytest.approx(2 / 14)
    assert {"abusive_share", "language_share"} == {each["rule"] for each in report["warnings"]}
    for content in ("email", "de", "f:you are a stupid"):
        assert content in project.page()


def test_labels_are_held_in_balance(project: Project) -> None:
    sad = [dialogue(f"{word} makes me feel so", label="sadness") for word in WORDS[:9]]
    project.write([*GOOD, *sad, dialogue("I am glad about the garden", label="joy")])
    report = project.validate(label_share=at_most(0.8, "warn"), near_duplicate_share=at_most(1))
    assert report["label_share"] == pytest.approx(0.9)
    assert [each["rule"] for each in report["warnings"]] == ["label_share"]
    assert "sadness" in project.page()


def test_drift_is_measured_against_the_version_that_git_has(project: Project) -> None:
    project.write([*GOOD, *(dialogue(f"tell me about the {word}") for word in WORDS)])
    report = project.validate()
    assert report["not_asked"]["length_drift"] == "no profile of this domain is committed yet"
    assert "length_drift" not in report
    git(project.folder, "init", "-q")
    git(project.folder, "add", "chat.profile.json")
    git(project.folder, "commit", "-q", "-m", "a version")
    (project.folder / "chat.profile.json").unlink()
    assert project.validate()["length_drift"] == 0
    project.write([*GOOD, *(dialogue(f"{word}, what is it", num_turns=6) for word in WORDS)])
    report = project.validate()
    assert report["length_drift"] > 0.5
    assert report["vocabulary_drift"] > 0.2
    assert "embedding_drift" not in report
    assert {"length_drift", "vocabulary_drift"} <= {each["rule"] for each in report["warnings"]}
    assert "of the version that is" in project.page()


def test_what_was_appended_is_embedded_in_proportion(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[str] = []

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        embedded.extend(texts)
        return np.ones((len(texts), 2), np.float32)

    monkeypatch.setattr(_evidence, "extract", lambda *_: project.folder)
    monkeypatch.setattr(_evidence, "load_encoder", lambda *_, **__: encode)
    said = [f"old {n}" for n in range(1_000)] + [f"new {n}" for n in range(5_000)]
    project.write([made((Turn("user", text),), "train", f"f:{text}") for text in said])
    section = project.params.validate_.model_copy(update={"sample": 3_000, "embedder_sample": 200})
    assert section.embedder is not None
    evidence = _evidence.gathered(
        "chat",
        section,
        json.loads((project.folder / "records" / "chat" / "counts.json").read_text()),
        read_fingerprints(project.folder / "fingerprints" / "base"),
        project.folder / "records" / "chat" / "dialogues.parquet",
        project.folder / "chat.profile.json",
    )
    assert len(evidence.survey.sample) == pytest.approx(3_000, rel=0.1)
    assert len(embedded) == 200
    assert sum(text.startswith("new") for text in embedded) == pytest.approx(200 * 5 / 6, rel=0.1)


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True)


def test_a_committed_profile_of_another_kind_stands_in_nobodys_way(project: Project) -> None:
    (project.folder / "chat.profile.json").write_text("{}")
    git(project.folder, "init", "-q")
    git(project.folder, "add", "chat.profile.json")
    git(project.folder, "commit", "-q", "-m", "what is this")
    assert "no profile" in project.validate()["not_asked"]["length_drift"]
