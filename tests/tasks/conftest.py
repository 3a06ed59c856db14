"""A project with a judged candidate, small and real, for what comes after the verdict."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

import json

import pytest
from transformers import PreTrainedTokenizerFast

from dialogue.config import Params, ScratchModel, load_params
from dialogue.digests import file_digest
from dialogue.model import save_model, scratch_model
from dialogue.records import Dialogue, Turn, write_dialogues
from dialogue.scores import Score, write_scores
from dialogue.verdict import Candidate, Decision, Finding, Verdict

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_service_of_the_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "MLFLOW_TRACKING_URI",
        "PERENNIAL_PIPELINE",
        "PERENNIAL_RELEASES_URL",
        "DVC_STAGE",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def params() -> Params:
    return load_params(ROOT / "params.yaml")


@dataclass(frozen=True)
class Judged:
    """The files of a judged candidate, as `register` takes them."""

    digest: str
    model: Path
    verdict: Path
    evidence: Path
    data: Path
    page: Path
    content: Path

    @property
    def paths(self) -> dict[str, Path]:
        paths = asdict(self)
        del paths["digest"]
        return paths


class Project:
    """A project's folder in which candidates appear as if they had been trained and judged."""

    def __init__(
        self, path: Path, tokenizer: PreTrainedTokenizerFast, settings: ScratchModel
    ) -> None:
        self.path = path
        self.data = path / "data" / "valid"
        self._tokenizer = tokenizer
        self._settings = settings
        for domain in ("chitchat", "support", "assistant"):
            write_dialogues(self.data / domain / "dialogues.parquet", [_dialogue(domain)])

    def candidate(
        self, seed: int, champion: str | None = None, decision: Decision = "PROMOTE"
    ) -> Judged:
        """A two-layer model with random weights, and the verdict on it."""
        model = self.path / "models" / f"assistant{seed}"
        digest = save_model(
            scratch_model(self._settings, self._tokenizer, seed),
            self._tokenizer,
            model,
            domain="assistant",
            parent_digest="a" * 64,
        )
        evidence = self.path / "scores" / f"{seed}.parquet"
        write_scores(evidence, [_score(digest)])
        reports = self.path / "reports"
        files = Judged(
            digest,
            model,
            reports / f"{seed}.json",
            evidence,
            self.data,
            reports / f"card{seed}.html",
            reports / f"card{seed}.json",
        )
        self.judge(files, champion, decision)
        return files

    def judge(
        self, files: Judged, champion: str | None, decision: Decision, first_exam: str = "e" * 64
    ) -> None:
        """Write another verdict on the same candidate; a second look's has another first exam."""
        verdict = Verdict(
            verdict=decision,
            sentence=f"{decision}: as the test wants it.",
            candidate=Candidate("assistant", files.digest, "a" * 64),
            champion=champion,
            exam_digest="e" * 64,
            evidence_digest=file_digest(files.evidence),
            look=1,
            looks=1,
            alpha=0.05,
            rules=(
                Finding(
                    "fluent", "response_perplexity", "chitchat", "bound", "passed", "30 | below 60"
                ),
            ),
            metrics={"chitchat": {"response_perplexity": 30.0}, "support": {"hits_at_1": 0.5}},
        )
        files.verdict.parent.mkdir(exist_ok=True)
        files.verdict.write_text(json.dumps(verdict.to_json()))
        curve = {"name": "assistant", "steps": [1, 2], "smooth": [3.0, 2.0]}
        card = {
            "candidate": verdict.to_json()["candidate"],
            "lifelong": {"average": 1.5, "forgetting": None, "exam_digest": first_exam},
            "curves": [curve],
        }
        files.content.write_text(json.dumps(card))
        files.page.write_text(f"<!DOCTYPE html><title>{verdict.sentence}</title>")


@pytest.fixture
def project(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, tiny_settings: ScratchModel
) -> Project:
    return Project(tmp_path, tokenizer, tiny_settings)


@pytest.fixture
def answers() -> Any:
    """A smoke test that looks at the folder it is given, and is content."""
    return lambda folder: {"sentence": "PASS", "files": len(list(folder.iterdir()))}


def _dialogue(domain: str) -> Dialogue:
    turns = (Turn("user", "hello"), Turn("assistant", "hi"))
    return Dialogue(f"{domain}-1", turns, domain, "train", f"{domain}==1.0", "1", "MIT", "d" * 64)


def _score(digest: str) -> Score:
    return Score("candidate", digest, "assistant", "chitchat", "chitchat-1", "hits_at_1", 1.0, 1.0)
