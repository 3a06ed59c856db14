"""The model writes its own memory, for when old dialogues may not be kept (Sun et al. 2020, LAMOL).

A dialogue in writing form begins with a system turn that names its domain, and everything after
that is supervised, the user's words too; an end of turn where a turn would begin ends it. Each
round teaches some of its dialogues in that form as well. The next round lets the parent write
dialogues of every domain it has learned, and rehearses them in both forms.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.continual.replay import num_beside, sample_number
from dialogue.continual.strategy import Strategy
from dialogue.decoding import Batch, Sampling
from dialogue.distributed import progress_stream
from dialogue.encoding import Encoded, Encoder
from dialogue.generation import special_ids
from dialogue.model import autocast, choose_precision
from dialogue.progress import Progress
from dialogue.shards import Shard, concatenate, pack

WRITING = "writing-"
"""Before the name of a dialogue in writing form."""
_WRITTEN_AT_ONCE = 32


class Pseudo(Strategy):
    """Rehearses what the parent makes up about the earlier domains."""

    def rehearsed(self) -> Shard:
        """Dialogues that the parent wrote, and lessons in writing."""
        settings, new = self.round.settings.pseudo, self.round.new
        written = self._written(num_beside(len(new), settings.share))
        both = concatenate([written, sample_number(new, round(len(new) * settings.writing_share))])
        return concatenate([written, self._as_writing(both)])

    def _written(self, wanted: int) -> Shard:
        """What can be read of `wanted` dialogues, the learned domains in equal parts."""
        learned, lesson = self.round.memory.learned, self.round
        settings, training = lesson.settings.pseudo, lesson.settings.training
        if not learned:
            return self._packed([])
        writer = Writing(lesson.tokenizer)
        drafts = [(learned[i % len(learned)], i) for i in range(wanted)]
        samplings = [
            Sampling(
                settings.max_new_tokens,
                settings.temperature,
                settings.top_p,
                repetition_penalty=1.0,
                seed=_seed(training.seed, lesson.domain, domain, number),
            )
            for domain, number in drafts
        ]
        prompts = [writer.prompt(domain) for domain, _ in drafts]
        model = lesson.model
        was_training = model.training
        model.train(False)
        with torch.inference_mode(), autocast(choose_precision(training.precision), model.device):
            label = f"{lesson.domain}: what the parent writes"
            texts = write(model, prompts, samplings, writer, label)
        model.train(was_training)
        return self._packed(
            (f"written-{domain}-{number}", domain, dialogue)
            for (domain, number), text in zip(drafts, texts, strict=True)
            if (dialogue := writer.read(text)) is not None
        )

    def _as_writing(self, dialogues: Shard) -> Shard:
        writer = Writing(self.round.tokenizer)
        return self._packed(
            (f"{WRITING}{name}", domain, writer.lesson(domain, dialogues[index]))
            for index, (name, domain) in enumerate(
                zip(dialogues.ids, dialogues.domains, strict=True)
            )
        )

    def _packed(
        self, rows: Iterator[tuple[str, str, Encoded]] | list[tuple[str, str, Encoded]]
    ) -> Shard:
        return pack(rows, len(self.round.tokenizer))


class Writing:
    """The writing form: to it and back."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._encoder = encoder = Encoder(tokenizer)
        (self.end,) = encoder.end
        self.special = special_ids(tokenizer)
        self._openings = {role: encoder.openings[role] for role in ("user", "assistant")}
        self.begin = encoder.openings["user"][0]

    def prompt(self, domain: str) -> list[int]:
        """Token ids after which a dialogue of the domain is to be written."""
        encoder = self._encoder
        return [*encoder.openings["system"], *encoder.text(domain), *encoder.end, *encoder.newline]

    def lesson(self, domain: str, dialogue: Encoded) -> Encoded:
        """A dialogue in writing form."""
        prompt = self.prompt(domain)
        ids = np.concatenate([prompt, dialogue.ids, [self.end]])
        return Encoded(ids.astype(np.int64), np.arange(len(ids)) >= len(prompt))

    def read(self, written: Sequence[int]) -> Encoded | None:
        """The whole turns of what was written, replies supervised; None without one."""
        ids: list[int] = []
        mask: list[bool] = []
        rest = list(written)
        while (turn := self._turn(rest)) is not None:
            role, opening, text = turn
            closing = [self.end, *self._encoder.newline]
            ids += [*opening, *text, *closing]
            learned = role == "assistant"
            mask += [False] * len(opening) + [learned] * (len(text) + 1)
            mask += [False] * len(self._encoder.newline)
            rest = rest[len(opening) + len(text) + len(closing) :]
        if not any(mask):
            return None
        last = max(i for i, learned in enumerate(mask) if learned) + 1 + len(self._encoder.newline)
        return Encoded(np.asarray(ids[:last], dtype=np.int64), np.asarray(mask[:last]))

    def _turn(self, ids: list[int]) -> tuple[str, list[int], list[int]] | None:
        """Role, opening and text of the turn that `ids` begin with; None where none does."""
        for role, opening in self._openings.items():
            if ids[: len(opening)] != opening or self.end not in ids[len(opening) :]:
                continue
            text = ids[len(opening) : ids.index(self.end, len(opening))]
            if text and not self.special & set(text):
                return role, opening, text
        return None


def write(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    samplings: Sequence[Sampling],
    writer: Writing,
    label: str,
) -> list[list[int]]:
    """What the model writes after each prompt, up to the end of the dialogue.

    `label` stands before the line that shows how far it is.
    """
    written: list[list[int]] = [[] for _ in prompts]
    batch = Batch(model, writer.special)
    rows: dict[int, int] = {}
    waiting = list(reversed(range(len(prompts))))
    bar = Progress(label, len(prompts), "dialogues", progress_stream())
    while waiting or rows:
        room = min(_WRITTEN_AT_ONCE - len(rows), len(waiting))
        if joining := [waiting.pop() for _ in range(room)]:
            keys = batch.add([prompts[i] for i in joining], [samplings[i] for i in joining])
            rows |= dict(zip(keys, joining, strict=True))
        for key, token in batch.step().items():
            index = rows[key]
            inside = _is_inside(written[index], writer)
            written[index].append(token)
            over = token == writer.end and not inside
            if over or len(written[index]) >= samplings[index].max_new_tokens:
                batch.drop({key})
                del rows[key]
                bar.advance(1)
    bar.finish()
    return written


def _is_inside(ids: list[int], writer: Writing) -> bool:
    """Whether a turn is open after `ids`."""
    for token in reversed(ids):
        if token == writer.end:
            return False
        if token == writer.begin:
            return True
    return False


def _seed(seed: int, lesson: str, domain: str, number: int) -> int:
    text = f"{seed}\x1f{lesson}\x1f{domain}\x1f{number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
