from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from dialogue.config import Lesson, Params, ScratchModel
from dialogue.exam import GENERAL
from dialogue.instructions import plain_instructions
from dialogue.log import SilentLog
from dialogue.manifest import read_manifest, write_manifest
from dialogue.model import load_model, save_model
from dialogue.records import Dialogue, Split, Turn, read_dialogues, write_dialogues
from dialogue.scores import Score, read_scores, write_scores
from tasks.evaluate import evaluate
from tasks.releases import Release, open_store, record

DOMAINS = ("chitchat", "support")


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: Path,
    tokenizer: PreTrainedTokenizerFast,
    tiny_settings: ScratchModel,
) -> Path:
    """Two domains, a base and three other models that differ from it by a little noise."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "models").mkdir()
    (folder / "models" / "base").symlink_to(tiny_model)
    for seed, (name, domain) in enumerate(
        [("chitchat", "chitchat"), ("support", "support"), ("other", "chitchat")]
    ):
        model = load_model(tiny_model)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        save_model(model, tokenizer, folder / "models" / name, domain=domain)
    for domain in DOMAINS:
        write_dialogues(folder / "valid" / domain / "dialogues.parquet", _dialogues(domain))
        write_manifest(folder / "valid" / domain)
    document = Turn("assistant", "Some text that is no dialogue.")
    write_dialogues(
        folder / "scores" / "base" / "exam.parquet",
        [Dialogue("t", (document,), "base", "test", "s", "o", "MIT", "d")],
    )
    write_scores(folder / "scores" / "base" / "rows.parquet", [])
    return folder


@pytest.fixture(scope="module")
def settings(params: Params) -> Params:
    changes = {
        "max_dialogues": 6,
        "instructions": True,
        "max_tokens": 96,
        "num_distractors": 4,
        "num_hard_distractors": 1,
        "num_generations": 2,
        "num_conversations": 2,
        "conversation_turns": 2,
        "max_new_tokens": 5,
        "embedder": None,
    }
    return params.model_copy(
        update={
            "evaluate": params.evaluate.model_copy(update=changes),
            "curriculum": {
                "chitchat": Lesson(after="base"),
                "support": Lesson(after="chitchat"),
            },
        }
    )


@pytest.fixture(scope="module")
def chain(world: Path, settings: Params) -> Path:
    """Both rounds evaluated, without a champion."""
    for domain, after in (("chitchat", "base"), ("support", "chitchat")):
        run(settings, world, domain, after)
    return world


def run(params: Params, world: Path, domain: str, after: str, out: Path | None = None) -> None:
    out = out or world
    evaluate(
        params,
        SilentLog(),
        domain=domain,
        valid=world / "valid" / domain,
        model=world / "models" / domain,
        parent=world / "models" / after,
        base=world / "models" / "base",
        parent_scores=world / "scores" / after,
        scores=out / "scores" / domain,
        report=out / "reports" / f"{domain}.json",
        samples=out / "reports" / f"{domain}.md",
        plot=out / "reports" / f"{domain}.csv",
    )


def _dialogues(domain: str) -> Iterator[Dialogue]:
    splits: list[Split] = ["test"] * 8 + ["train"] * 4
    for number, split in enumerate(splits):
        # The support domain is a labelled one: its answers are few, and each is the label.
        answer = f"answer {number % 3 if domain == 'support' else number} to {domain}"
        turns = (
            Turn("user", f"{domain} question {number}"),
            Turn("assistant", "go on"),
            Turn("user", "so?"),
            Turn("assistant", answer),
        )
        label = answer if domain == "support" else None
        name = f"{domain}{number:02d}"
        yield Dialogue(name, turns, domain, split, "s", "o", "MIT", "d", label=label)


def cells(scores: list[Score]) -> set[tuple[str, str, str]]:
    return {(score.model_role, score.learned, score.domain) for score in scores}


def test_every_model_is_examined_where_it_must_be(chain: Path) -> None:
    first = read_scores(chain / "scores" / "chitchat" / "rows.parquet")
    assert cells(first) == {
        *[("candidate", "chitchat", domain) for domain in (*GENERAL, "chitchat")],
        ("parent", "base", "chitchat"),
        *[("base", "base", domain) for domain in (*GENERAL, "chitchat")],
    }
    second = read_scores(chain / "scores" / "support" / "rows.parquet")
    assert cells(second) == {
        *[("candidate", "support", domain) for domain in (*GENERAL, "chitchat", "support")],
        *[("base", "base", domain) for domain in (*GENERAL, "chitchat", "support")],
        *[("ancestor", "chitchat", domain) for domain in (*GENERAL, "chitchat")],
        ("parent", "chitchat", "support"),
    }
    digest = read_manifest(chain / "models" / "support")["digest"]
    assert {s.model_digest for s in second if s.model_role == "candidate"} == {digest}


def test_all_metrics_but_the_embedders_are_there(chain: Path) -> None:
    scores = read_scores(chain / "scores" / "support" / "rows.parquet")
    found = {s.metric for s in scores if (s.model_role, s.domain) == ("candidate", "chitchat")}
    assert found == {
        "response_perplexity",
        "bits_per_byte",
        "gain_over_base",
        "hits_at_1",
        "mrr",
        "history_gain",
        "history_gain_over_wrong",
        "history_gain_1",
        "history_gain_2",
        "history_gain_4",
        "next_turn",
        "order_gap",
        "self_repetition",
        "self_contradiction",
        "distinct_1",
        "distinct_2",
        "distinct_3",
        "mtld",
        "novel_ngrams",
        "longest_copy",
        "repetition",
    }
    plain = {s.metric for s in scores if s.domain == "base"}
    assert plain == {"bits_per_byte"}
    asked = {s.metric for s in scores if s.domain == "instructions"}
    assert asked == {"bits_per_byte", "response_perplexity"}


def test_labelled_domains_are_told_apart_and_their_labels_handed_on(chain: Path) -> None:
    first, second = (
        json.loads((chain / "scores" / d / "labels.json").read_text()) for d in DOMAINS
    )
    assert first == {}
    assert second == {"support": [f"answer {number} to support" for number in range(3)]}
    scores = read_scores(chain / "scores" / "support" / "rows.parquet")
    asked = {(s.model_role, s.domain) for s in scores if s.metric in ("accuracy", "macro_f1")}
    assert asked == {("candidate", "support")}
    # Three different answers are too few to pick among five.
    assert "hits_at_1" not in {s.metric for s in scores if s.domain == "support"}


def test_the_exam_grows_and_is_capped(chain: Path) -> None:
    exam = list(read_dialogues(chain / "scores" / "support" / "exam.parquet"))
    assert [dialogue.id for dialogue in exam] == [
        "t",
        *sorted(each.id for each in plain_instructions())[:6],
        *[f"chitchat{n:02d}" for n in range(6)],
        *[f"support{n:02d}" for n in range(6)],
    ]


def test_instructions_can_be_left_out(chain: Path, settings: Params, tmp_path: Path) -> None:
    without = settings.evaluate.model_copy(update={"instructions": False})
    run(
        settings.model_copy(update={"evaluate": without}),
        chain,
        "chitchat",
        "base",
        tmp_path,
    )
    scores = read_scores(tmp_path / "scores" / "chitchat" / "rows.parquet")
    assert {score.domain for score in scores} == {"base", "chitchat"}


def test_the_base_is_carried_and_not_measured_again(
    chain: Path, settings: Params, tmp_path: Path
) -> None:
    """What a measurement would find is another value than what was handed on."""
    for name in ("models", "valid"):
        (tmp_path / name).symlink_to(chain / name)
    before = tmp_path / "scores" / "chitchat"
    shutil.copytree(chain / "scores" / "chitchat", before)
    rows = read_scores(before / "rows.parquet")
    moved = [replace(s, value=s.value + 1) if s.model_role == "base" else s for s in rows]
    write_scores(before / "rows.parquet", moved)
    run(settings, tmp_path, "support", "chitchat")

    def base(scores: list[Score]) -> list[Score]:
        return [s for s in scores if s.model_role == "base" and s.domain == "chitchat"]

    after = read_scores(tmp_path / "scores" / "support" / "rows.parquet")
    assert base(after) == base(moved) != []


def test_what_training_showed_is_handed_on(chain: Path) -> None:
    first, second = (np.load(chain / "scores" / d / "ngrams.npy") for d in DOMAINS)
    assert set(first) < set(second)


def test_the_report_sums_it_up(chain: Path) -> None:
    report = json.loads((chain / "reports" / "support.json").read_text())
    figure = report["metrics"]["chitchat"]["bits_per_byte"]
    assert figure["candidate"]["low"] <= figure["candidate"]["value"] <= figure["candidate"]["high"]
    assert figure["base"]["num_dialogues"] == 6
    assert set(report["lifelong"]["matrix"]) == {"base", "chitchat", "support"}
    assert isinstance(report["lifelong"]["forward_transfer"], float)
    assert set(report["lifelong"]["forgetting_of"]) == {*GENERAL, "chitchat"}
    assert set(report["speed"]) == {
        "seconds",
        "tokens_per_second",
        "generated_tokens_per_second",
        "seconds_per_reply",
    }
    assert all(value > 0 for value in report["speed"].values())
    weights = chain / "models" / "support" / "model.safetensors"
    assert report["size"]["bytes"] == weights.stat().st_size
    assert 0 < 4 * report["size"]["parameters"] <= report["size"]["bytes"]
    assert "instructions after support" in (chain / "reports" / "support.csv").read_text()
    assert "chitchat after support" in (chain / "reports" / "support.csv").read_text()
    assert "- candidate: " in (chain / "reports" / "support.md").read_text()


def test_equal_inputs_make_equal_scores(chain: Path, settings: Params, tmp_path: Path) -> None:
    run(settings, chain, "support", "chitchat", tmp_path)
    for name in ("rows.parquet", "exam.parquet", "ngrams.npy"):
        one, two = (folder / "scores" / "support" / name for folder in (chain, tmp_path))
        assert one.read_bytes() == two.read_bytes(), name


def test_the_champion_to_beat_sits_the_same_exam(
    chain: Path, settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = chain / "models" / "other"
    digest = str(read_manifest(folder)["digest"])
    record(open_store(tmp_path), Release(digest, 1, folder, "run"))
    lesson = Lesson(after="chitchat", against=digest)
    round_two = settings.model_copy(
        update={"curriculum": {**settings.curriculum, "support": lesson}}
    )
    run(round_two, chain, "support", "chitchat", tmp_path)
    scores = read_scores(tmp_path / "scores" / "support" / "rows.parquet")

    def asked(role: str) -> set[tuple[str, str, str]]:
        return {(s.domain, s.metric, s.dialogue_id) for s in scores if s.model_role == role}

    assert asked("champion") == asked("candidate")
    assert {s.learned for s in scores if s.model_role == "champion"} == {"chitchat"}
    assert "- champion: " in (tmp_path / "reports" / "support.md").read_text()


def test_a_domain_without_test_dialogues_is_refused(
    world: Path, settings: Params, tmp_path: Path
) -> None:
    only_training = [d for d in _dialogues("support") if d.split == "train"]
    write_dialogues(tmp_path / "dialogues.parquet", only_training)
    write_manifest(tmp_path)
    with pytest.raises(ValueError, match=r"no test dialogue with a response; raise ingest\.test"):
        evaluate(
            settings,
            SilentLog(),
            domain="chitchat",
            valid=tmp_path,
            model=world / "models" / "chitchat",
            parent=world / "models" / "base",
            base=world / "models" / "base",
            parent_scores=world / "scores" / "base",
            scores=tmp_path / "scores",
            report=tmp_path / "report.json",
            samples=tmp_path / "samples.md",
            plot=tmp_path / "plot.csv",
        )
