from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from dialogue.config import Gate, Lesson, Params, Rule
from dialogue.digests import file_digest
from dialogue.encoding import Encoder
from dialogue.exam import exam_digest
from dialogue.instructions import plain_instructions
from dialogue.log import SilentLog
from dialogue.manifest import read_manifest, write_manifest
from dialogue.model import load_model, save_model
from dialogue.records import Dialogue, Turn, write_dialogues
from dialogue.scores import ModelRole, Score, read_scores, write_scores
from tasks import releases
from tasks._verdict import check_verdict, read_verdict
from tasks.gate import gate

NUM_DIALOGUES = 30


class Tags(SilentLog):
    """A log that remembers its tags."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def tags(self, values: Mapping[str, str]) -> None:
        self.seen.update(values)


def rows(role: ModelRole, digest: str, value: float) -> list[Score]:
    return [
        Score(role, digest, "chitchat", "chitchat", f"{i:03d}", "bits_per_byte", value, 1.0)
        for i in range(NUM_DIALOGUES)
    ]


def settings(params: Params, against: str | None = None, second_look: int = 0) -> Params:
    rules = (
        Rule(name="fluent", metric="bits_per_byte", slice="each", kind="bound", max=2.0),
        Rule(name="better", metric="bits_per_byte", slice="target", kind="superiority"),
    )
    strict = Gate(
        alpha=0.05, resamples=200, min_dialogues=20, second_look=second_look, seed=1, rules=rules
    )
    curriculum = {"chitchat": Lesson(after="base", against=against)}
    return params.model_copy(update={"gate": strict, "curriculum": curriculum})


def write(folder: Path, scores: list[Score]) -> list[Dialogue]:
    exam = [
        Dialogue(f"{i:03d}", (Turn("assistant", "x"),), "chitchat", "test", "s", "o", "MIT", "d")
        for i in range(NUM_DIALOGUES)
    ]
    write_dialogues(folder / "chitchat" / "exam.parquet", exam)
    write_scores(folder / "chitchat" / "rows.parquet", scores)
    return exam


def judged(params: Params, folder: Path, log: SilentLog) -> Path:
    verdict = folder / "reports" / "verdict.json"
    gate(
        params,
        log,
        scores=folder,
        valid=folder / "valid",
        models=folder / "models",
        evidence=folder / "evidence",
        verdict=verdict,
        summary=folder / "reports" / "verdict.md",
    )
    return verdict


def test_the_verdict_is_bound_to_model_exam_and_evidence(params: Params, tmp_path: Path) -> None:
    exam = write(tmp_path, rows("candidate", "c" * 64, 1.0) + rows("parent", "p" * 64, 1.5))
    log = Tags()
    path = judged(settings(params), tmp_path, log)
    verdict = read_verdict(path)
    evidence = tmp_path / "evidence" / "rows.parquet"
    check_verdict(verdict, "c" * 64, evidence)
    assert verdict["candidate"] == {"domain": "chitchat", "digest": "c" * 64, "parent": "p" * 64}
    assert verdict["verdict"] == "PROMOTE"
    assert verdict["champion"] is None
    assert verdict["exam_digest"] == exam_digest(exam)
    assert verdict["evidence_digest"] == file_digest(evidence)
    assert verdict["metrics"] == {"chitchat": {"bits_per_byte": 1.0}}
    assert [rule["passed"] for rule in verdict["rules"]] == [True, None]
    assert read_scores(evidence) == read_scores(tmp_path / "chitchat" / "rows.parquet")
    assert (verdict["look"], verdict["looks"], verdict["alpha"]) == (1, 1, 0.05)
    assert log.seen == {"verdict": "PROMOTE", "model_digest": "c" * 64}
    assert verdict["sentence"] in (tmp_path / "reports" / "verdict.md").read_text()


def test_a_rejection_is_a_result(params: Params, tmp_path: Path) -> None:
    scores = rows("candidate", "c" * 64, 1.2) + rows("parent", "p" * 64, 1.5)
    write(tmp_path, scores + rows("champion", "h" * 64, 1.0))
    verdict = json.loads(judged(settings(params, "h" * 64), tmp_path, SilentLog()).read_text())
    assert verdict["verdict"] == "REJECT"
    assert "chitchat is 20.0% worse than the champion" in verdict["sentence"]


def test_scores_that_do_not_fit_the_round_are_refused(params: Params, tmp_path: Path) -> None:
    write(tmp_path, rows("candidate", "c" * 64, 1.0))
    with pytest.raises(ValueError, match="scores of 0 parent models; run evaluate again"):
        judged(settings(params), tmp_path, SilentLog())
    scores = rows("candidate", "c" * 64, 1.0) + rows("parent", "p" * 64, 1.5)
    write(tmp_path, scores + rows("champion", "h" * 64, 1.0))
    with pytest.raises(ValueError, match=r"champion is hhhh.*, not absent; run evaluate again"):
        judged(settings(params), tmp_path, SilentLog())


def test_missing_scores_are_named(params: Params, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rows\.parquet: no such scores file"):
        judged(settings(params), tmp_path, SilentLog())


@pytest.fixture(scope="module")
def models(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, tokenizer: PreTrainedTokenizerFast
) -> Path:
    """The base, and a candidate that knows the answers of the domain."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "base").symlink_to(tiny_model)
    model = load_model(tiny_model).train()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    ids = torch.tensor([Encoder(tokenizer).dialogue(dialogue(0).turns, 64).ids.tolist()])
    for _ in range(20):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    save_model(model, tokenizer, folder / "chitchat", domain="chitchat")
    return folder


def dialogue(number: int) -> Dialogue:
    turns = (Turn("user", f"question {number}"), Turn("assistant", "an answer to it"))
    return Dialogue(f"{number:03d}", turns, "chitchat", "test", "s", "o", "MIT", "d")


def undecided(folder: Path, models: Path, available: int, *, champion: bool = False) -> None:
    """First scores that chance may explain, and `available` test dialogues for a second look."""
    digest = str(read_manifest(models / "chitchat")["digest"])
    noise = np.random.default_rng(0).normal(0.0, 1.0, NUM_DIALOGUES)
    noise += 0.05 - noise.mean()
    gains = [
        Score("candidate", digest, "chitchat", "chitchat", f"{i:03d}", "gain_over_base", gain, 1.0)
        for i, gain in enumerate(noise.tolist())
    ]
    reigning = rows("champion", digest, 1.0) if champion else []
    write(folder, gains + rows("parent", "p" * 64, 1.5) + reigning)
    write_dialogues(folder / "chitchat" / "exam.parquet", map(dialogue, range(NUM_DIALOGUES)))
    np.save(folder / "chitchat" / "ngrams.npy", np.array([], dtype=np.uint64))
    (folder / "chitchat" / "labels.json").write_text("{}")
    write_dialogues(folder / "base" / "exam.parquet", [])
    write_dialogues(
        folder / "valid" / "chitchat" / "dialogues.parquet", map(dialogue, range(available))
    )
    write_manifest(folder / "valid" / "chitchat")
    if not (folder / "models").exists():
        (folder / "models").symlink_to(models)


def gaining(params: Params, second_look: int) -> Params:
    rule = Rule(name="gains", metric="gain_over_base", slice="each", kind="bound", min=0.0)
    chosen = settings(params, second_look=second_look)
    return chosen.model_copy(
        update={
            "gate": chosen.gate.model_copy(update={"rules": (rule,)}),
            "evaluate": params.evaluate.model_copy(
                update={"max_dialogues": NUM_DIALOGUES, "num_generations": 0, "max_tokens": 64}
            ),
        }
    )


def test_what_is_undecided_is_looked_at_again_at_more_dialogues(
    params: Params, models: Path, tmp_path: Path
) -> None:
    undecided(tmp_path, models, available=60)
    chosen = gaining(params, second_look=50)
    path = judged(chosen, tmp_path, SilentLog())
    verdict, evidence = read_verdict(path), read_scores(tmp_path / "evidence" / "rows.parquet")
    assert (verdict["look"], verdict["looks"], verdict["alpha"]) == (2, 2, 0.025)
    assert verdict["verdict"] == "PROMOTE"
    asked = {score.dialogue_id for score in evidence if score.metric == "gain_over_base"}
    assert asked == {f"{i:03d}" for i in range(50)}
    check_verdict(verdict, verdict["candidate"]["digest"], tmp_path / "evidence" / "rows.parquet")
    assert verdict["exam_digest"] == exam_digest([dialogue(i) for i in range(50)])
    assert "Look 2 of at most 2" in (tmp_path / "reports" / "verdict.md").read_text()


@pytest.mark.parametrize("champion", [True, False])
def test_a_second_look_asks_more_instructions_where_there_is_a_champion(
    params: Params, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, champion: bool
) -> None:
    monkeypatch.delenv("PERENNIAL_RELEASES_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    undecided(tmp_path, models, available=60, champion=champion)
    chosen = gaining(params, second_look=50)
    if champion:
        folder = models / "chitchat"
        digest = str(read_manifest(folder)["digest"])
        releases.record(releases.open_store(tmp_path), releases.Release(digest, 1, folder, "run"))
        lesson = chosen.curriculum["chitchat"].model_copy(update={"against": digest})
        chosen = chosen.model_copy(update={"curriculum": {"chitchat": lesson}})
    asked = sorted(plain_instructions(), key=lambda each: each.id)
    first = [*asked[:NUM_DIALOGUES], *map(dialogue, range(NUM_DIALOGUES))]
    write_dialogues(tmp_path / "chitchat" / "exam.parquet", first)
    judged(chosen, tmp_path, SilentLog())
    evidence = read_scores(tmp_path / "evidence" / "rows.parquet")
    again = [score for score in evidence if score.domain == "instructions"]
    expected = asked[: 50 if champion else NUM_DIALOGUES]
    assert {score.dialogue_id for score in again} == {each.id for each in expected}
    assert {score.metric for score in again} == {"bits_per_byte", "response_perplexity"}


def test_a_first_look_that_decides_is_the_last(
    params: Params, models: Path, tmp_path: Path
) -> None:
    undecided(tmp_path, models, available=60)
    rule = Rule(name="loses", metric="gain_over_base", slice="each", kind="bound", min=9.0)
    chosen = gaining(params, second_look=50)
    chosen = chosen.model_copy(update={"gate": chosen.gate.model_copy(update={"rules": (rule,)})})
    verdict = read_verdict(judged(chosen, tmp_path, SilentLog()))
    assert (verdict["verdict"], verdict["look"], verdict["looks"]) == ("REJECT", 1, 2)


def test_who_is_rejected_is_not_looked_at_again(
    params: Params, models: Path, tmp_path: Path
) -> None:
    undecided(tmp_path, models, available=60)
    chosen = gaining(params, second_look=50)
    never = Rule(name="loses", metric="gain_over_base", slice="each", kind="bound", min=9.0)
    rules = (*chosen.gate.rules, never)
    chosen = chosen.model_copy(update={"gate": chosen.gate.model_copy(update={"rules": rules})})
    verdict = read_verdict(judged(chosen, tmp_path, SilentLog()))
    assert [rule["state"] for rule in verdict["rules"]] == ["undecided", "failed"]
    assert (verdict["verdict"], verdict["look"], verdict["looks"]) == ("REJECT", 1, 2)


def test_more_dialogues_are_not_asked_where_replies_are_too_few(
    params: Params, models: Path, tmp_path: Path
) -> None:
    undecided(tmp_path, models, available=60)
    scores = tmp_path / "chitchat" / "rows.parquet"
    measured = read_scores(scores)
    digest = measured[0].model_digest
    reply = Score("candidate", digest, "chitchat", "chitchat", "000", "repetition", 0.9, 1.0)
    write_scores(scores, [*measured, reply])
    chosen = gaining(params, second_look=50)
    rule = Rule(name="repeats", metric="repetition", slice="each", kind="bound", max=0.3)
    chosen = chosen.model_copy(update={"gate": chosen.gate.model_copy(update={"rules": (rule,)})})
    verdict = read_verdict(judged(chosen, tmp_path, SilentLog()))
    assert (verdict["verdict"], verdict["look"], verdict["looks"]) == ("INCONCLUSIVE", 1, 2)
    assert "about 20 replies would decide it" in verdict["sentence"]


@pytest.mark.parametrize(("second_look", "available"), [(0, 60), (50, NUM_DIALOGUES)])
def test_where_there_is_no_more_to_ask_the_one_look_has_all_of_alpha(
    params: Params, models: Path, tmp_path: Path, second_look: int, available: int
) -> None:
    undecided(tmp_path, models, available)
    verdict = read_verdict(judged(gaining(params, second_look), tmp_path, SilentLog()))
    assert (verdict["look"], verdict["looks"], verdict["alpha"]) == (1, 1, 0.05)
    assert verdict["verdict"] == "INCONCLUSIVE"
    assert "dialogues would decide it" in verdict["sentence"]
