"""Many dialogues at once: a table of records becomes flat tokens, mask and lengths.

The tokens are `Encoder`'s, but no Python object is made for a turn or a token: texts are cut into
words, of which each is tokenized once, and numpy puts everything in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from dialogue.encoding import ROLES, Encoder, first_kept, tokens_cut
from dialogue.words import WordTokens, cut, splits_into_words

COLUMNS = ("dialogue_id", "turn", "role", "text", "split")
"""The columns of the records that encoding reads."""

_ASSISTANT = ROLES.index("assistant")


@dataclass(frozen=True, slots=True)
class Sequences:
    """N dialogues: `ids` and `splits` [N], `tokens` and `mask` (uint8) [Σ T], `lengths` [N]."""

    ids: list[str]
    splits: NDArray[Any]
    tokens: NDArray[Any]
    mask: NDArray[np.uint8]
    lengths: NDArray[np.int64]

    def of_split(self, split: str) -> Sequences:
        """Those of one split, in the same order."""
        chosen = self.splits == split
        if chosen.all():
            return self
        tokens = np.repeat(chosen, self.lengths)
        return Sequences(
            ids=[self.ids[index] for index in np.flatnonzero(chosen)],
            splits=self.splits[chosen],
            tokens=self.tokens[tokens],
            mask=self.mask[tokens],
            lengths=self.lengths[chosen],
        )


@dataclass(frozen=True, slots=True)
class _Turns:
    """K turns of N dialogues, W words: `codes` [W] says which word each is, of all that occur."""

    roles: NDArray[np.intp]
    codes: NDArray[np.int64]
    num_words: NDArray[np.int64]
    firsts: NDArray[np.intp]
    """The first turn of each dialogue, [N]."""

    def without(self, dropped: NDArray[np.bool_]) -> _Turns:
        """The turns but for those dropped, [K]; of every dialogue one is left."""
        kept = ~dropped
        before = np.concatenate([[0], np.cumsum(kept)])
        return _Turns(
            roles=self.roles[kept],
            codes=self.codes[np.repeat(kept, self.num_words)],
            num_words=self.num_words[kept],
            firsts=before[self.firsts],
        )


class BulkEncoder:
    """Encodes tables of records with one tokenizer; see `Encoder.dialogues` for what is learned."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, max_tokens: int) -> None:
        encoder = Encoder(tokenizer)
        self.dtype = token_dtype(len(tokenizer))
        self._max_tokens = max_tokens
        self._inside = splits_into_words(encoder.backend)
        self._word_tokens = WordTokens(encoder.backend)
        markup = [*(encoder.openings[role] for role in ROLES), encoder.end, encoder.newline]
        self._markup = np.fromiter(chain.from_iterable(markup), self.dtype)
        self._markup_lengths = np.array([len(part) for part in markup])

    def encode(self, table: pa.Table) -> Sequences:
        """The dialogues of a table of whole dialogues, with `COLUMNS` at least.

        Raises:
            ValueError: a dialogue has no supervised token; it could not teach anything.
        """
        turns, words = self._read(table)
        firsts = turns.firsts
        tokens = [*self._word_tokens.of(words)]
        word_lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        pool = np.concatenate(
            [
                self._markup,
                np.fromiter(chain.from_iterable(tokens), self.dtype, int(word_lengths.sum())),
            ]
        )
        pool_lengths = np.concatenate([self._markup_lengths, word_lengths])
        turn_lengths = self._turn_lengths(turns, word_lengths)
        windows = self._windows(turn_lengths, turns)
        turns = turns.without(windows.dropped)
        pieces, learned = self._pieces(turns)
        piece_lengths = pool_lengths[pieces]
        starts = np.cumsum(pool_lengths) - pool_lengths
        flat = pool[_ranges(starts[pieces], piece_lengths)]
        mask = np.repeat(learned, piece_lengths)
        lengths = np.add.reduceat(np.where(windows.dropped, 0, turn_lengths), firsts)
        if windows.cuts:
            flat, mask, lengths = self._cut(windows.cuts, flat, mask, lengths)
        ids = table.column("dialogue_id").take(firsts).to_pylist()
        _check_supervised(ids, mask, lengths)
        splits = table.column("split").take(firsts).to_numpy()
        return Sequences(ids, splits, flat, mask, lengths)

    def _read(self, table: pa.Table) -> tuple[_Turns, list[str]]:
        """The turns, and the words that occur in them."""
        # Large: the texts of a table may be more than the 2 GiB that 32-bit offsets reach.
        texts = table.column("text").cast(pa.large_string()).combine_chunks()
        words, num_words = cut(texts, inside=self._inside)
        coded = words.dictionary_encode()
        roles = pc.index_in(table.column("role"), pa.array(ROLES))
        assert not roles.null_count, "records hold no other roles"
        turns = _Turns(
            roles=roles.to_numpy().astype(np.intp),
            codes=coded.indices.to_numpy().astype(np.int64),
            num_words=num_words,
            firsts=np.flatnonzero(table.column("turn").to_numpy() == 0),
        )
        return turns, coded.dictionary.to_pylist()

    def _turn_lengths(self, turns: _Turns, word_lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of each turn with its markup, [K]."""
        until = np.concatenate([[0], np.cumsum(word_lengths[turns.codes])])
        ends = np.cumsum(turns.num_words)
        texts = until[ends] - until[ends - turns.num_words]
        lengths: NDArray[np.int64] = (
            texts + self._markup_lengths[turns.roles] + self._markup_lengths[len(ROLES) :].sum()
        )
        return lengths

    def _windows(self, turn_lengths: NDArray[np.int64], turns: _Turns) -> _Windows:
        """What stays of the dialogues that are too long."""
        dropped = np.zeros(len(turn_lengths), dtype=np.bool_)
        cuts: list[tuple[int, int]] = []
        totals = np.add.reduceat(turn_lengths, turns.firsts)
        ends = np.append(turns.firsts[1:], len(turn_lengths))
        for dialogue in np.flatnonzero(totals > self._max_tokens).tolist():
            own = slice(turns.firsts[dialogue], ends[dialogue])
            lengths = turn_lengths[own].tolist()
            roles = turns.roles[own]
            learned = (roles == _ASSISTANT).tolist()
            start = first_kept(lengths, learned, self._max_tokens)
            dropped[own.start : own.start + start] = True
            if sum(lengths[start:]) > self._max_tokens:
                openings = self._markup_lengths[roles[start:]].tolist()
                cut_tokens = tokens_cut(
                    lengths[start:], learned[start:], openings, self._max_tokens
                )
                cuts.append((dialogue, cut_tokens))
        return _Windows(dropped, cuts)

    def _pieces(self, turns: _Turns) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Opening, words, end and newline of every turn as places in the pool; which are learned.

        Both are [3 K + W].
        """
        num_turns = len(turns.roles)
        end, newline, first_word = len(ROLES), len(ROLES) + 1, len(ROLES) + 2
        ends = np.cumsum(turns.num_words) + 3 * np.arange(num_turns) + 1
        is_learned = (turns.roles == _ASSISTANT).astype(np.uint8)
        owners = np.repeat(np.arange(num_turns), turns.num_words)
        words = np.arange(len(turns.codes)) + 3 * owners + 1
        pieces = np.empty(3 * num_turns + len(turns.codes), dtype=np.int64)
        learned = np.zeros(len(pieces), dtype=np.uint8)
        pieces[words] = turns.codes + first_word
        pieces[ends - turns.num_words - 1] = turns.roles
        pieces[ends] = end
        pieces[ends + 1] = newline
        learned[words] = is_learned[owners]
        learned[ends] = is_learned
        return pieces, learned

    def _cut(
        self,
        cuts: list[tuple[int, int]],
        tokens: NDArray[Any],
        mask: NDArray[np.uint8],
        lengths: NDArray[np.int64],
    ) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.int64]]:
        """Without what is still too much of single dialogues: tokens before `cut`, and the end."""
        kept = np.ones(len(tokens), dtype=np.bool_)
        ends = np.cumsum(lengths)
        lengths = lengths.copy()
        for dialogue, cut_tokens in cuts:
            end = ends[dialogue]
            start = end - lengths[dialogue]
            kept[start : start + cut_tokens] = False
            kept[start + cut_tokens + self._max_tokens : end] = False
            lengths[dialogue] = self._max_tokens
        return tokens[kept], mask[kept], lengths


@dataclass(frozen=True, slots=True)
class _Windows:
    """`dropped` [K]: turns that go; `cuts`: dialogues still too long, and tokens cut in front."""

    dropped: NDArray[np.bool_]
    cuts: list[tuple[int, int]]


def token_dtype(vocabulary_size: int) -> np.dtype[Any]:
    """The narrowest type that holds every token."""
    return np.dtype(np.uint16 if vocabulary_size <= 2**16 else np.uint32)


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """starts[0], starts[0] + 1, … lengths[0] numbers; then the same for the next."""
    before = np.cumsum(lengths) - lengths
    indices: NDArray[np.int64] = np.repeat(starts - before, lengths)
    indices += np.arange(len(indices))
    return indices


def _check_supervised(ids: list[str], mask: NDArray[np.uint8], lengths: NDArray[np.int64]) -> None:
    starts = np.cumsum(lengths) - lengths
    # The loss begins at the second token.
    supervised = np.add.reduceat(mask, starts, dtype=np.int64) - mask[starts]
    if (supervised == 0).any():
        name = ids[int(np.argmin(supervised))]
        raise ValueError(f"dialogue {name}: no supervised token; it needs an assistant turn")
