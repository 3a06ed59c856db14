"""Replies: to many histories at once, and how tokens become their text, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.decoding import Batch, Sampling
from dialogue.encoding import Encoder
from dialogue.records import Turn

FinishReason = Literal["stop", "length"]

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Generation:
    """A reply: its text, why it ended, and how many tokens were read and written.

    `finish_reason` is `stop` for an end of turn and `length` for `max_new_tokens`. The end of turn
    counts among `num_tokens`.
    """

    text: str
    finish_reason: FinishReason
    num_prompt_tokens: int
    num_tokens: int


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    histories: Sequence[Sequence[Turn]],
    sampling: Sampling,
    *,
    batch_size: int,
) -> list[Generation]:
    """A reply to every history, in order; at most `batch_size` are decoded together.

    Histories that do not fit the model's positions lose their oldest turns. With a seed, every
    reply is drawn from that seed.
    """
    encoder = Encoder(tokenizer)
    room = prompt_room(model, sampling.max_new_tokens)
    prompts = [encoder.prompt(history, room) for history in histories]
    waiting = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    batch = Batch(model, special_ids(tokenizer))
    running: dict[int, tuple[int, Reply]] = {}
    done: dict[int, Generation] = {}
    while waiting or running:
        if joining := [waiting.pop() for _ in range(min(batch_size - len(batch), len(waiting)))]:
            keys = batch.add([prompts[index] for index in joining], [sampling] * len(joining))
            for key, index in zip(keys, joining, strict=True):
                running[key] = (index, Reply(tokenizer, sampling.max_new_tokens))
        for key, token in batch.step().items():
            running[key][1].push(token)
        ended = {key for key, (_, reply) in running.items() if reply.finish_reason is not None}
        for index, reply in map(running.pop, ended):
            done[index] = reply.generation(len(prompts[index]))
        batch.drop(ended)
    return [done[index] for index in range(len(prompts))]


class Reply:
    """Tokens on their way to becoming text.

    The pieces that `push` returns add up to the text. A piece is held back while its last
    character is incomplete, or while it may turn out to begin one of the `stop` strings; the
    reply ends before the first of these that is complete, at a special token, or after
    `max_new_tokens`.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, max_new_tokens: int, stop: Sequence[str] = ()
    ) -> None:
        self.finish_reason: FinishReason | None = None
        self.num_tokens = 0
        self._tokenizer = tokenizer
        self._special = special_ids(tokenizer)
        self._max_new_tokens = max_new_tokens
        self._stop = tuple(stop)
        self._window: list[int] = []  # the tokens of the last piece, then those held back
        self._shown = 0  # how many characters of the window's text were taken already
        self._held = ""  # whole characters that may begin a stop string
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._pieces)

    def push(self, token: int) -> str:
        """Take the next token; returns the text that is now certain, often the empty one."""
        assert self.finish_reason is None, "the reply has ended"
        self.num_tokens += 1
        if token in self._special:
            self.finish_reason = "stop"
            return self._say(self._decoded(final=True))
        self._window.append(token)
        if self.num_tokens >= self._max_new_tokens:
            self.finish_reason = "length"
        return self._say(self._decoded(final=self.finish_reason is not None))

    def close(self) -> str:
        """End the reply where it stands; returns what was held back."""
        return self._say(self._decoded(final=True), final=True)

    def generation(self, num_prompt_tokens: int) -> Generation:
        """The ended reply."""
        assert self.finish_reason is not None, "the reply has not ended"
        return Generation(self.text, self.finish_reason, num_prompt_tokens, self.num_tokens)

    def _decoded(self, *, final: bool) -> str:
        """The new text of the window, empty while its last character is incomplete."""
        text = self._tokenizer.decode(self._window, skip_special_tokens=True)
        assert isinstance(text, str)
        new = text[self._shown :]
        if final:
            new = new.rstrip(_REPLACEMENT)  # the bytes of half a character
        if not new or new.endswith(_REPLACEMENT):
            return ""
        # A token's text can depend on its left neighbour (a leading space): one is kept.
        self._window = self._window[-1:]
        self._shown = len(str(self._tokenizer.decode(self._window, skip_special_tokens=True)))
        return new

    def _say(self, new: str, *, final: bool = False) -> str:
        text = self._held + new
        starts = [start for stop in self._stop if (start := text.find(stop)) >= 0]
        if starts:
            self.finish_reason = "stop"
            text = text[: min(starts)]
        keep = 0
        if self.finish_reason is None and not final:
            keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        piece, self._held = text[: len(text) - keep], text[len(text) - keep :]
        self._pieces.append(piece)
        return piece


def special_ids(tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """The ids that structure a dialogue and belong in no text: a reply ends at any of them."""
    added = tokenizer.added_tokens_decoder
    ids = {index for index, token in added.items() if token.special}
    return frozenset(ids | set(tokenizer.all_special_ids))


def prompt_room(model: PreTrainedModel, max_new_tokens: int) -> int:
    """How many tokens of a history fit beside a reply of `max_new_tokens`.

    Raises:
        ValueError: the reply alone takes more than half of the model's positions.
    """
    size: int = model.config.max_position_embeddings
    if max_new_tokens > size // 2:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens}, but the model has {size} positions in all: "
            f"use at most {size // 2}"
        )
    return size - max_new_tokens


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
