"""Near-duplicates: MinHash signatures of dialogues, and the pairs whose words are nearly the same.

A dialogue is the set of its words and of its pairs of adjacent words, after NFKC and casefold;
a word is a run of letters and digits, or one character where a script writes no spaces. Roles,
punctuation and the borders of turns do not count. Similarity is the Jaccard index of two such sets,
estimated from signatures (Broder 1997, "On the resemblance and containment of documents"); pairs
worth estimating are found by banding (Indyk and Motwani 1998, "Approximate nearest neighbors").

Shapes: N dialogues, P = 128 values in a signature, M pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash  # type: ignore[import-untyped]
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dialogue import banding
from dialogue.shingles import VERSION, gathered, shingle_hashes
from dialogue.sorted_arrays import sorted_unique

NUM_VALUES = 128
SHORT_WORDS = 20
SHORT_SIMILARITY = 0.85
BRIEF_WORDS = 12
"""Between this and `SHORT_WORDS`, two changed words make no other dialogue, but for templates."""

_BRIEF_BANDS = 0.6
_BRIEF_MOST = 200_000
_ERROR = 0.05
_TEMPLATES_SHARE = 0.1
_TEMPLATES_ROWS = 20

_SEED = 17

SCHEME = f"shingles-{VERSION}/rensa-{RMinHash.ALGORITHM_VERSION}/{NUM_VALUES}x16/seed-{_SEED}"
"""How signatures are made: those of two schemes do not compare."""


Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Signatures:
    """Signatures of N dialogues, in the order they were given.

    Attributes:
        values: uint16[N, P], the low bits of MinHash values (Li and König 2010, "b-bit minwise
            hashing"): by chance two values agree once in 65,536.
        num_words: uint32[N], how many words each dialogue has.
    """

    values: NDArray[np.uint16]
    num_words: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Rows | NDArray[np.bool_]) -> Signatures:
        """The signatures of some rows, by index or by mask."""
        return Signatures(self.values[rows], self.num_words[rows])


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of dialogues that are nearly the same, each named once.

    Attributes:
        rows: int64[M, 2], sorted; within one set the first row is the smaller one.
        similarity: float32[M], estimated Jaccard index, standard error below 0.045.
        num_templates: how many brief pairs are no near-duplicates because so many are alike.
    """

    rows: Rows
    similarity: NDArray[np.float32]
    num_templates: int = 0

    def __len__(self) -> int:
        return len(self.rows)


def signatures(dialogues: Iterable[Sequence[str]]) -> Signatures:
    """The signatures of dialogues, each given as the texts of its turns.

    Leave out what makes no two dialogues the same: system turns (one persona stands before many),
    and a labelled dialogue's question (see `without_question`). Takes a stream, and memory for
    the result (260 bytes a dialogue) and about 100 MiB.
    """
    values = np.empty((0, NUM_VALUES), np.uint16)
    num_words = np.empty(0, np.uint32)
    count = 0
    for chunk in gathered(dialogues):
        hashes, offsets, words = shingle_hashes(chunk)
        if count + len(chunk) > len(values):
            # In place: a concatenation at the end would need twice the memory.
            num_rows = count + max(len(chunk), min(count, 1 << 17))
            values.resize((num_rows, NUM_VALUES), refcheck=False)
            num_words.resize(num_rows, refcheck=False)
        values[count : count + len(chunk)] = _minhash(hashes, offsets)
        num_words[count : count + len(chunk)] = words
        count += len(chunk)
    values.resize((count, NUM_VALUES), refcheck=False)
    num_words.resize(count, refcheck=False)
    return Signatures(values, num_words)


def without_question(turns: Sequence[str]) -> list[str]:
    """A labelled dialogue without the question that all of its domain have: its last user line.

    With a question of 15 words a third of DailyDialog's labelled utterances are near-duplicates
    of one another, without it a fortieth.
    """
    return [turns[0].rpartition("\n")[0] or turns[0], *turns[1:]]


def jaccard(first: Sequence[str], second: Sequence[str]) -> float:
    """The exact similarity of two dialogues, each given as the texts of its turns."""
    hashes, offsets, _ = shingle_hashes([first, second])
    sets = [set(hashes[offsets[i] : offsets[i + 1]].tolist()) for i in range(2)]
    union = len(sets[0] | sets[1])
    return len(sets[0] & sets[1]) / union if union else 1.0


def near_pairs(own: Signatures, similarity: float) -> Pairs:
    """Pairs within one set whose estimated similarity is at least `similarity`.

    Of dialogues with fewer than `SHORT_WORDS` words, fewer or more words change the index much:
    - down to `BRIEF_WORDS` a pair counts that differs in two words, index (2n - 7) / (2n + 5),
      unless more than a tenth of such dialogues have such a double: then templates made them;
    - below, and of templates, `SHORT_SIMILARITY` is asked for: two of five words of a command are
      its meaning.

    Every row that has a near-duplicate is in some pair with one, but not every pair is named: of
    equal rows each is paired with the first only, and where many rows fall into one bucket each
    meets its neighbours there. `clusters` joins the pairs.

    Args:
        own: the dialogues.
        similarity: least Jaccard index, in (0, 1].
    """
    distinct = _distinct(own, np.arange(len(own)))
    pairs = banding.alike(_table(own, distinct, similarity), None, similarity)
    brief, num_templates = _brief_pairs(own, distinct, None, None, similarity)
    pairs = distinct.first[np.unique(np.concatenate([pairs, brief]), axis=0)]
    rows = np.concatenate([pairs, distinct.repeats()])
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    return Pairs(rows, banding.shares(own.values, own.values, rows), num_templates)


def near_pairs_between(
    a: Signatures,
    b: Signatures,
    similarity: float,
    *,
    rows_a: Rows | None = None,
    rows_b: Rows | None = None,
    templates: bool = False,
) -> Pairs:
    """Pairs of a row of `a` and a row of `b` that are nearly the same; see `near_pairs`.

    Every row of either that has a near-duplicate in the other is in some pair.

    Args:
        a: dialogues.
        b: dialogues, or the same ones.
        similarity: least Jaccard index, in (0, 1].
        rows_a: the rows of `a` that count, ascending; None for all.
        rows_b: likewise.
        templates: whether templates are known to have made one side, as `near_pairs` tells of a
            whole set: a few rows of it may not show it.
    """
    of_a = _distinct(a, np.arange(len(a)) if rows_a is None else rows_a)
    of_b = _distinct(b, np.arange(len(b)) if rows_b is None else rows_b)
    tables = _table(a, of_a, similarity), _table(b, of_b, similarity)
    equal = np.stack(np.intersect1d(of_a.hashes, of_b.hashes, return_indices=True)[1:], axis=1)
    brief, num_templates = _brief_pairs(a, of_a, b, of_b, similarity)
    if templates:
        brief, num_templates = brief[:0], num_templates + len(brief)
    pairs = np.concatenate([banding.alike(*tables, similarity), brief, equal])
    rows = _spread(pairs, of_a, of_b)
    return Pairs(rows, banding.shares(a.values, b.values, rows), num_templates)


def clusters(pairs: Pairs, num_rows: int) -> Rows:
    """int64[num_rows]: the smallest row of the cluster each row is joined to by pairs, else itself.

    For the pairs of one set. Joined is not similar: a chain of small changes is one cluster.
    """
    graph = coo_array(
        (np.ones(len(pairs), np.int8), (pairs.rows[:, 0], pairs.rows[:, 1])), (num_rows, num_rows)
    )
    count, labels = connected_components(graph, directed=False)
    smallest = np.full(count, num_rows, np.int64)
    np.minimum.at(smallest, labels, np.arange(num_rows))
    return smallest[labels]


def _minhash(hashes: NDArray[np.uint64], offsets: NDArray[np.int64]) -> NDArray[np.uint16]:
    """uint16[N, P]: MinHash by Fast Similarity Sketching (Dahlgaard et al. 2017), in rensa."""
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        hashes, offsets.astype(np.uint64), NUM_VALUES, _SEED
    )
    digests = np.array(matrix.to_rows(), np.uint32).reshape(-1, NUM_VALUES)
    # Every bit of a digest decides: its low half alone need not be evenly spread.
    return ((digests * np.uint32(0x9E3779B1)) >> np.uint32(16)).astype(np.uint16)


@dataclass(frozen=True, slots=True)
class _Distinct:
    """The U distinct ones among K rows of some signatures.

    Attributes:
        hashes: uint64[U].
        first: int64[U], the row where each stands first, ascending.
        rows: int64[K].
        group: int64[K], to which of the U each row belongs.
    """

    hashes: NDArray[np.uint64]
    first: Rows
    rows: Rows
    group: Rows

    def repeats(self) -> Rows:
        """int64[M, 2]: the first row of a group with each other one."""
        firsts = self.first[self.group]
        pairs: Rows = np.stack([firsts, self.rows], axis=1)[firsts != self.rows]
        return pairs


def _distinct(own: Signatures, rows: Rows) -> _Distinct:
    hashes, first, group = np.unique(
        banding.row_hashes(own.values, rows), return_index=True, return_inverse=True
    )
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return _Distinct(hashes[order], rows[first[order]], rows, place[group])


def _table(own: Signatures, distinct: _Distinct, similarity: float) -> banding.Table:
    if not 0 < similarity <= 1:
        raise ValueError(f"similarity: {similarity} is no Jaccard index to ask for; use (0, 1]")
    short = own.num_words[distinct.first] < SHORT_WORDS
    least = np.where(short, max(similarity, SHORT_SIMILARITY), similarity)
    return banding.Table(own.values, distinct.first, least.astype(np.float32))


def _brief_pairs(
    a: Signatures,
    of_a: _Distinct,
    b: Signatures | None,
    of_b: _Distinct | None,
    similarity: float,
) -> tuple[Rows, int]:
    """int64[M, 2]: pairs of groups of brief dialogues that differ in two words; or how many do."""
    own, table_a = _brief(a, of_a, similarity)
    other, table_b = (own, None) if b is None or of_b is None else _brief(b, of_b, similarity)
    if max(len(own), len(other)) > _BRIEF_MOST:
        return np.zeros((0, 2), np.int64), 0
    pairs = banding.alike(table_a, table_b, min(similarity, _BRIEF_BANDS))
    # Within one set, the first of two alike ones is the original.
    originals = () if table_b is None else ((pairs[:, 0], own),)
    for matched, rows in (*originals, (pairs[:, 1], other)):
        num_matched = len(sorted_unique(matched))
        if num_matched > max(_TEMPLATES_ROWS, _TEMPLATES_SHARE * len(rows)):
            return np.zeros((0, 2), np.int64), len(pairs)
    return np.stack([own[pairs[:, 0]], other[pairs[:, 1]]], axis=1), 0


def _brief(own: Signatures, distinct: _Distinct, similarity: float) -> tuple[Rows, banding.Table]:
    """The groups of brief dialogues, and what they ask of a partner."""
    num_words = own.num_words[distinct.first].astype(np.int64)
    groups = np.flatnonzero((num_words >= BRIEF_WORDS) & (num_words < SHORT_WORDS))
    # n words are 2n - 1 shingles; two changed words take up to 6 of them and bring as many.
    doubled = 2 * num_words[groups]
    least = np.minimum((doubled - 7) / (doubled + 5) - _ERROR, similarity)
    return groups, banding.Table(own.values, distinct.first[groups], least.astype(np.float32))


def _spread(pairs: Rows, a: _Distinct, b: _Distinct) -> Rows:
    """Pairs of groups as pairs of rows: of first rows, and each other row with one of them."""
    of_a = _spread_one_way(pairs, a, b)
    of_b = _spread_one_way(pairs[:, ::-1], b, a)[:, ::-1]
    rows: Rows = np.unique(np.concatenate([of_a, of_b]), axis=0)
    return rows


def _spread_one_way(pairs: Rows, a: _Distinct, b: _Distinct) -> Rows:
    partner = np.full(len(a.first), -1, np.int64)
    partner[pairs[:, 0]] = pairs[:, 1]
    places = np.flatnonzero(partner[a.group] >= 0)
    others = np.stack([a.rows[places], b.first[partner[a.group[places]]]], axis=1)
    firsts = np.stack([a.first[pairs[:, 0]], b.first[pairs[:, 1]]], axis=1)
    return np.concatenate([firsts, others])
