"""One pass over a domain's records: a row of numbers per dialogue, a sample, and its labels."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dialogue.facts import SPLITS, Array, facts_of, starts_of
from dialogue.fingerprints import SCHEMA as IDENTITIES
from dialogue.near_duplicates import without_question
from dialogue.records import SCHEMA

NO_SPLIT = "no split"

_HASH_DIGITS = 6
_BEGINNING = 200
_HEAD = ["dialogue_id", "origin", "text"]


@dataclass(slots=True)
class Survey:
    """What one pass over records tells, without keeping their texts.

    Fill it by exhausting `texts`. Dialogues are numbered in file order, from 0 on.
    """

    domain: str
    sample_share: float
    """The share of dialogues whose texts are kept; which ones depends on their ids alone."""
    sample: dict[int, list[str]] = field(default_factory=dict)
    """The sampled dialogues' texts by the dialogue's number, system turns left out."""
    labels: Counter[str] = field(default_factory=Counter)
    _heads: list[pa.Table] = field(default_factory=list)
    _facts: list[dict[str, Array]] = field(default_factory=list)

    def texts(self, tables: Iterable[pa.Table]) -> Iterator[list[str]]:
        """The texts of each dialogue's turns, system turns left out, in file order.

        Of labelled dialogues without the question, which is the same in all of a domain.

        Args:
            tables: whole dialogues each, with the columns of `dialogue.records.SCHEMA`.
        """
        num_seen = 0
        for table in tables:
            starts = starts_of(table.column("dialogue_id").combine_chunks())
            heads = table.select([*_HEAD, "label"]).take(pa.array(starts))
            self._count_labels(heads.column("label"))
            beginnings = pc.utf8_slice_codeunits(heads.column("text"), 0, _BEGINNING)
            self._heads.append(heads.select(_HEAD[:-1]).append_column("text", beginnings))
            self._facts.append(facts_of(table, self.domain))
            sampled = self._is_sampled(heads.column("dialogue_id"))
            labelled = heads.column("label").is_valid().to_numpy()
            for index, texts in enumerate(_spoken(table, starts)):
                if sampled[index]:
                    self.sample[num_seen + index] = texts
                yield without_question(texts) if labelled[index] and texts else texts
            num_seen += len(starts)

    @property
    def facts(self) -> dict[str, Array]:
        """`dialogue.facts.facts_of` of all dialogues."""
        if not self._facts:
            self._facts = [facts_of(SCHEMA.empty_table(), self.domain)]
        if len(self._facts) > 1:
            # Column by column, and in place: two whole copies would be the peak.
            joined = {}
            for name in tuple(self._facts[0]):
                joined[name] = np.concatenate([part.pop(name) for part in self._facts])
            self._facts = [joined]
        return self._facts[0]

    @property
    def identities(self) -> pa.Table:
        """Who the dialogues are, with the columns of `dialogue.fingerprints.SCHEMA`."""
        if not self._heads:
            return IDENTITIES.empty_table()
        heads = pa.concat_tables(self._heads)
        names = pa.array([*SPLITS, NO_SPLIT])
        code = self.facts["split"]
        splits = names.take(pa.array(np.where(code < 0, len(SPLITS), code)))
        columns = [heads.column("dialogue_id"), heads.column("origin"), splits]
        return pa.table(columns, schema=IDENTITIES)

    def beginning(self, number: int) -> str:
        """How a dialogue begins: the first characters of its first turn."""
        for heads in self._heads:
            if number < heads.num_rows:
                return heads.column("text")[number].as_py() or ""
            number -= heads.num_rows
        raise IndexError(number)

    def _is_sampled(self, ids: pa.ChunkedArray) -> Array:
        """By the id's last digits: `limit` has chosen by the first ones already."""
        if self.sample_share >= 1:
            return np.ones(len(ids), np.bool_)
        bound = f"{int(self.sample_share * 16**_HASH_DIGITS):0{_HASH_DIGITS}x}"
        digits = pc.utf8_slice_codeunits(ids, -_HASH_DIGITS)
        found: Array = pc.fill_null(pc.less(digits, bound), False).to_numpy()
        return found

    def _count_labels(self, labels: pa.ChunkedArray) -> None:
        for pair in pc.value_counts(labels.drop_null()).to_pylist():
            self.labels[pair["values"]] += pair["counts"]


def _spoken(table: pa.Table, starts: Sequence[int] | Array) -> Iterator[list[str]]:
    """The texts of each dialogue's turns without its system turns."""
    role = table.column("role").combine_chunks()
    is_spoken = pc.fill_null(pc.not_equal(role, "system"), True).to_numpy(zero_copy_only=False)
    text = pc.fill_null(table.column("text").combine_chunks(), "")
    texts = text.filter(pa.array(is_spoken)).to_pylist()
    before = np.concatenate(([0], np.cumsum(is_spoken)))
    bounds = before[np.append(starts, table.num_rows)].tolist()
    for start, end in itertools.pairwise(bounds):
        yield texts[start:end]
