"""What can be told of each dialogue from its rows alone, as columns: numbers, no texts.

Shapes: R rows (turns) of a table, D dialogues in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ftfy.badness
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dialogue.records import SCHEMA

COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)
ROLES = ("system", "user", "assistant")
SPLITS = ("train", "validation", "test")
REQUIRED = tuple(field.name for field in SCHEMA if not field.nullable)
DAMAGES = ("NUL", "U+FFFD", "mojibake")

# UTF-8 read as Latin-1 or Windows-1252 leaves a lead byte's letter before a continuation byte's.
# RE2 finds the few texts that are worth a real look.
_MAYBE_MOJIBAKE = (
    "[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    "\u2013\u2014\u2018-\u201a\u201c-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]"
)

Array = np.ndarray[Any, np.dtype[Any]]


def starts_of(ids: pa.StringArray) -> Array:
    """Where each dialogue begins: the rows at which the id changes, int64[D]."""
    if not len(ids):
        return np.empty(0, np.int64)
    changes = pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1))
    changed = pc.fill_null(changes, True).to_numpy(zero_copy_only=False)
    return np.flatnonzero(np.concatenate(([True], changed)))


def facts_of(table: pa.Table, domain: str) -> dict[str, Array]:
    """The dialogues of a table of whole dialogues, a value each.

    Args:
        table: rows with all columns of `dialogue.records.SCHEMA`, [R].
        domain: what every row's domain should be.

    Returns:
        By name, arrays [D]. `num_turns`, `longest_turn` and `num_characters` count (characters
        are code points); `split` is an index into `SPLITS`, -1 for none of them;
        `opens_with_user`, `ends_with_assistant`, `alternates`, `in_order` and `one_split` are
        true of a sound dialogue; `empty_turns`, `unknown_roles`, `unknown_splits`,
        `foreign_turns`, `damage_*` (of `DAMAGES`) and `null_*` (of `REQUIRED`) count turns, 0 in
        a sound one.
    """
    columns = {name: table.column(name).combine_chunks() for name in table.schema.names}
    starts = starts_of(columns["dialogue_id"])
    lengths = np.diff(np.append(starts, table.num_rows))
    return (
        _order(columns, starts, lengths)
        | _texts(columns["text"], starts)
        | {
            "foreign_turns": _count(pc.not_equal(columns["domain"], domain), starts),
            **{f"null_{name}": _count(columns[name].is_null(), starts) for name in REQUIRED},
        }
    )


def reason_of(facts: dict[str, Array], index: int, max_characters: int, max_turns: int) -> str:
    """Why a dialogue is no good for training, in words; empty if it is sound."""
    fact = {name: values[index] for name, values in facts.items()}
    damage = [name for name in DAMAGES if fact[f"damage_{name}"]]
    reasons = []
    if fact["longest_turn"] > max_characters:
        reasons.append(
            f"turn too long: {fact['longest_turn']} characters, at most {max_characters}"
        )
    if fact["num_turns"] > max_turns:
        reasons.append(f"too many turns: {fact['num_turns']}, at most {max_turns}")
    if fact["empty_turns"]:
        reasons.append("empty turn: no text or no role")
    if damage:
        reasons.append(f"damaged text: holds {', '.join(damage)}")
    return "; ".join(reasons)


def is_faulty(facts: dict[str, Array], max_characters: int, max_turns: int) -> Array:
    """Which dialogues `reason_of` has something to say of, bool[D]."""
    damaged = sum(facts[f"damage_{name}"] for name in DAMAGES)
    faulty: Array = (
        (facts["longest_turn"] > max_characters)
        | (facts["num_turns"] > max_turns)
        | (facts["empty_turns"] > 0)
        | (damaged > 0)
    )
    return faulty


def _order(columns: dict[str, pa.Array], starts: Array, lengths: Array) -> dict[str, Array]:
    """Who speaks when, and in which split."""
    role = _codes(columns["role"], ROLES)
    split = _codes(columns["split"], SPLITS)
    position = np.arange(len(role)) - np.repeat(starts, lengths)
    has_system = np.repeat(role[starts] == ROLES.index("system"), lengths)
    speaker = position - has_system
    is_opening = speaker < 0
    expected = np.where(speaker % 2 == 0, ROLES.index("user"), ROLES.index("assistant"))
    turn = pc.fill_null(columns["turn"], -1).to_numpy(zero_copy_only=False)
    # A dialogue of nothing but a system turn has no turn after it to look at.
    first = np.minimum(starts + (role[starts] == ROLES.index("system")), starts + lengths - 1)
    return {
        "num_turns": lengths.astype(np.int32),
        "split": split[starts],
        "opens_with_user": role[first] == ROLES.index("user"),
        "ends_with_assistant": role[starts + lengths - 1] == ROLES.index("assistant"),
        "alternates": _all((role == expected) | is_opening, starts),
        "in_order": _all(turn == position, starts),
        "one_split": _all(split == np.repeat(split[starts], lengths), starts),
        "unknown_roles": _sum(role < 0, starts),
        "unknown_splits": _sum(split < 0, starts),
    }


def _texts(text: pa.StringArray, starts: Array) -> dict[str, Array]:
    """How long the texts are, and what is broken in them."""
    characters = pc.fill_null(pc.utf8_length(text), 0).to_numpy(zero_copy_only=False)
    return {
        "longest_turn": _reduce(np.maximum, characters.astype(np.int32), starts),
        "num_characters": _reduce(np.add, characters.astype(np.int64), starts),
        "empty_turns": _sum(characters == 0, starts),
        "damage_NUL": _count(pc.match_substring(text, "\0"), starts),
        "damage_U+FFFD": _count(pc.match_substring(text, "\ufffd"), starts),
        "damage_mojibake": _sum(_is_mojibake(text), starts),
    }


def _is_mojibake(text: pa.StringArray) -> Array:
    """Which texts were decoded with the wrong table, by ftfy's heuristic: bool[R]."""
    maybe = pc.match_substring_regex(text, _MAYBE_MOJIBAKE)
    found: Array = pc.fill_null(maybe, False).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(found)
    texts = text.take(pa.array(rows)).to_pylist()
    found[rows] = [ftfy.badness.is_bad(candidate) for candidate in texts]
    return found


def _codes(values: pa.StringArray, names: Sequence[str]) -> Array:
    found = pc.index_in(values, value_set=pa.array(names, pa.string()))
    codes: Array = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int8)
    return codes


def _count(found: pa.BooleanArray, starts: Array) -> Array:
    """How many rows of each dialogue are true; a missing value is not."""
    return _sum(pc.fill_null(found, False).to_numpy(zero_copy_only=False), starts)


def _sum(found: Array, starts: Array) -> Array:
    return _reduce(np.add, found.astype(np.int32), starts)


def _all(found: Array, starts: Array) -> Array:
    return _reduce(np.logical_and, found, starts)


def _reduce(combine: np.ufunc, values: Array, starts: Array) -> Array:
    reduced: Array = (
        combine.reduceat(values, starts, dtype=values.dtype) if len(starts) else values[:0]
    )
    return reduced
