"""Which replies are shown: the best, the worst and some at random, by what the candidate gained."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from dialogue.records import Dialogue
from dialogue.replies import Reply
from dialogue.scores import ModelRole, Score

Pick = Literal["best", "worst", "random"]


class Gain(NamedTuple):
    """How many bits per byte likelier the human's replies are to the candidate."""

    than: ModelRole
    amount: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One dialogue of the exam: what was said, what a human answered, and what the models did."""

    domain: str
    dialogue_id: str
    pick: Pick
    gain: Gain
    history: tuple[tuple[str, str], ...]
    """(role, text) of the turns before the reply, the latest ones."""
    human: str
    candidate: str
    champion: str | None
    num_omitted: int
    """Turns before those shown."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "domain": self.domain,
            "dialogue_id": self.dialogue_id,
            "pick": self.pick,
            "gain": self.gain.amount,
            "than": self.gain.than,
            "history": [{"role": role, "text": text} for role, text in self.history],
            "num_omitted": self.num_omitted,
            "human": self.human,
            "candidate": self.candidate,
            "champion": self.champion,
        }


def choose_samples(
    exam: Iterable[Dialogue],
    replies: Iterable[Reply],
    scores: Iterable[Score],
    *,
    num_samples: int,
    history_turns: int,
    seed: int,
) -> list[Sample]:
    """Choose, domain by domain in the exam's order, `num_samples` of each pick.

    Only dialogues with a reply of the candidate and a finite gain are looked at. Where there are
    fewer than three times `num_samples`, nothing is shown twice: the best go first.
    """
    gains = gains_of(scores)
    said = {(reply.model_role, reply.domain, reply.dialogue_id): reply.text for reply in replies}
    ranked: dict[str, list[tuple[Gain, Dialogue]]] = {}
    for dialogue in exam:
        gain = gains.get((dialogue.domain, dialogue.id))
        if gain is not None and ("candidate", dialogue.domain, dialogue.id) in said:
            ranked.setdefault(dialogue.domain, []).append((gain, dialogue))
    samples = []
    for domain, pool in ranked.items():
        pool.sort(key=lambda pair: (-pair[0].amount, pair[1].id))
        for pick, gain, dialogue in _picked(pool, num_samples, f"{seed} {domain}"):
            last = max(i for i, turn in enumerate(dialogue.turns) if turn.role == "assistant")
            first = max(0, last - history_turns)
            samples.append(
                Sample(
                    domain=domain,
                    dialogue_id=dialogue.id,
                    pick=pick,
                    gain=gain,
                    history=tuple((turn.role, turn.text) for turn in dialogue.turns[first:last]),
                    human=dialogue.turns[last].text,
                    candidate=said["candidate", domain, dialogue.id],
                    champion=said.get(("champion", domain, dialogue.id)),
                    num_omitted=first,
                )
            )
    return samples


def gains_of(scores: Iterable[Score]) -> dict[tuple[str, str], Gain]:
    """(domain, dialogue) → gain over the champion, or over the base where there is none."""
    bits: dict[ModelRole, dict[tuple[str, str], float]] = {"candidate": {}, "champion": {}}
    gains: dict[tuple[str, str], Gain] = {}
    for score in scores:
        place = score.domain, score.dialogue_id
        if score.weight <= 0 or not np.isfinite(amount := score.value / score.weight):
            continue
        if score.metric == "bits_per_byte" and score.model_role in bits:
            bits[score.model_role][place] = amount
        if score.metric == "gain_over_base" and score.model_role == "candidate":
            gains[place] = Gain("base", amount)
    ours, theirs = bits["candidate"], bits["champion"]
    return gains | {
        place: Gain("champion", theirs[place] - ours[place])
        for place in ours.keys() & theirs.keys()
    }


def _picked(
    pool: Sequence[tuple[Gain, Dialogue]], number: int, seed: str
) -> list[tuple[Pick, Gain, Dialogue]]:
    """From the best to the worst of a domain."""
    best = list(pool[: min(number, (len(pool) + 1) // 2)])
    rest = list(pool[len(best) :])
    worst = rest[::-1][:number]
    rest = rest[: len(rest) - len(worst)]
    drawn = random.Random(seed).sample(rest, min(number, len(rest)))
    picks: tuple[tuple[Pick, list[tuple[Gain, Dialogue]]], ...] = (
        ("best", best),
        ("worst", worst),
        ("random", drawn),
    )
    return [(pick, gain, dialogue) for pick, pairs in picks for gain, dialogue in pairs]
