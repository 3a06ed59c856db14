"""Sentences of a hassil template, one at a time, with the slots they fill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hassil.expression import (
    Alternative,
    Expression,
    Group,
    ListReference,
    Permutation,
    RuleReference,
    Sentence,
    TextChunk,
)
from hassil.intents import RangeSlotList, SlotList, TextSlotList

from dialogue.sources.formats.home_assistant.dice import Dice
from dialogue.sources.formats.home_assistant.house import NAMES, WORDS

_ASKING = (
    "what", "whats", "who", "where", "wheres", "which", "how", "hows", "is", "are", "do", "does",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a template refers to: lists, rules, and what kind of thing `{name}` names."""

    lists: Mapping[str, SlotList]
    rules: Mapping[str, Sentence]
    domain: str


def say(expression: Expression, grammar: Grammar, dice: Dice) -> tuple[str, dict[str, str]]:
    """One sentence, every alternative drawn alike, and its slots as they are worded in it.

    `hassil.sample` lists all sentences of a template, millions for some; this walks to one.

    Raises:
        KeyError: the template refers to a list or rule that is not known.
    """
    slots: dict[str, str] = {}
    text = _spoken(expression, grammar, dice, slots)
    return " ".join(text.split()), slots


def written(text: str, dice: Dice) -> str:
    """The spoken sentence as people type it: bare, capitalized, or with its mark as well."""
    style = dice.below(3)
    if style == 0:
        return text
    capitalized = text[:1].upper() + text[1:]
    if style == 1:
        return capitalized
    first, _, _ = text.replace("'", " ").partition(" ")
    return capitalized + ("?" if first in _ASKING else ".")


def _spoken(expression: Expression, grammar: Grammar, dice: Dice, slots: dict[str, str]) -> str:
    if isinstance(expression, TextChunk):
        return str(expression.original_text)
    if isinstance(expression, Alternative):
        return _spoken(dice.pick(expression.items), grammar, dice, slots)
    if isinstance(expression, Group):
        items = expression.items
        if isinstance(expression, Permutation):
            items = dice.shuffled(items)
        return "".join(_spoken(item, grammar, dice, slots) for item in items)
    if isinstance(expression, RuleReference):
        return _spoken(grammar.rules[expression.rule_name].expression, grammar, dice, slots)
    assert isinstance(expression, ListReference), type(expression)
    slots[expression.slot_name] = _value(expression, grammar, dice)
    return slots[expression.slot_name]


def _value(reference: ListReference, grammar: Grammar, dice: Dice) -> str:
    name = reference.list_name
    if name == "name":
        return dice.pick(NAMES[grammar.domain])
    if name in WORDS:
        return dice.pick(WORDS[name])
    values = grammar.lists[name]
    if isinstance(values, TextSlotList):
        return _spoken(dice.pick(values.values).text_in, grammar, dice, {}).strip()
    if isinstance(values, RangeSlotList):
        return str(dice.pick(list(values.get_numbers())))
    raise KeyError(f"list {{{name}}} takes any words, and none are known for it")
