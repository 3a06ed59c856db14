"""The exam: held-out dialogues of every domain so far, the same for every model in a round."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from dialogue.records import Dialogue, content_digest

PLAIN_TEXT = "base"
"""The base model's own exam: documents of plain text, one turn each."""

INSTRUCTIONS = "instructions"
"""The plain instructions: short questions that a base model may answer before any lesson."""

GENERAL = (PLAIN_TEXT, INSTRUCTIONS)
"""The exams of general ability. No lesson teaches them, none may cost them, and all that is asked
of them is how likely the text is."""


def compose_exam(dialogues: Iterable[Dialogue], max_dialogues: int) -> dict[str, list[Dialogue]]:
    """The exam of all these dialogues, by domain, in the order in which domains come.

    A domain has at most `max_dialogues`: those with the smallest ids. Ids come from a hash of the
    content, so that is a uniform sample, and a larger one contains it; equal dialogues count once.
    Dialogues without a response ask nothing and are left out. Takes a stream, and memory for
    twice what it returns.
    """
    exam: dict[str, dict[str, Dialogue]] = {}
    for dialogue in dialogues:
        if any(turn.role == "assistant" for turn in dialogue.turns):
            part = exam.setdefault(dialogue.domain, {})
            part[dialogue.id] = dialogue
            if len(part) == 2 * max_dialogues:
                exam[dialogue.domain] = _first(part, max_dialogues)
    return {domain: [*_first(part, max_dialogues).values()] for domain, part in exam.items()}


def _first(dialogues: dict[str, Dialogue], number: int) -> dict[str, Dialogue]:
    return {key: dialogues[key] for key in sorted(dialogues)[:number]}


def exam_digest(dialogues: Sequence[Dialogue]) -> str:
    """SHA-256 over domain, id and content of every dialogue, whatever their order."""
    lines = sorted(
        f"{dialogue.domain}\x1f{dialogue.id}\x1f{content_digest(dialogue.turns)}\n"
        for dialogue in dialogues
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()
