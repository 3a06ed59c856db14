"""Home Assistant's commands as labelled texts: which intent one has, or which slots it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from hassil import Intents
from hassil.parse_expression import parse_sentence
from hassil.parser import ParseError

from dialogue.records import Reject
from dialogue.sources.draft import Draft, set_aside
from dialogue.sources.formats.home_assistant.dice import Dice
from dialogue.sources.formats.home_assistant.sentences import Grammar, say, written
from dialogue.sources.formats.home_assistant.templates import Template, load
from dialogue.sources.formats.lines import whole_text
from dialogue.sources.labelled import entities_label, labelled_draft
from dialogue.sources.reading import Reading

DRAWS_PER_TEMPLATE = 8


@dataclass(frozen=True, slots=True)
class _Command:
    """A sentence with what it was drawn from."""

    template: Template
    text: str
    slots: Mapping[str, str]


def read_home_assistant_intents(
    name: str, stream: IO[bytes], reading: Reading
) -> Iterator[Draft | Reject]:
    """The command and the question; the intent's name.

    A template is in one split with all its sentences. A sentence that two templates have is kept
    once, so that equal texts never straddle splits.

    Raises:
        ValueError: the file is not a language file of home-assistant-intents.
    """
    return _drafts(name, stream, reading, lambda command: reading.label(command.template.intent))


def read_home_assistant_slots(
    name: str, stream: IO[bytes], reading: Reading
) -> Iterator[Draft | Reject]:
    """The command and the question; its slots as they are worded, `name: desk lamp; area: attic`.

    Splits as for the intents.

    Raises:
        ValueError: the file is not a language file of home-assistant-intents.
    """
    return _drafts(
        name, stream, reading, lambda command: entities_label(command.slots.items(), reading)
    )


def _drafts(
    name: str, stream: IO[bytes], reading: Reading, label_of: Callable[[_Command], str]
) -> Iterator[Draft | Reject]:
    intents, templates = load(name, whole_text(name, stream))
    said: dict[str, Template] = {}
    for template in templates:
        for draw in range(DRAWS_PER_TEMPLATE):
            origin = f"{template.origin}/{draw}"
            try:
                command = _command(template, intents, draw)
                label = label_of(command)
                first = said.setdefault(_words(command.text), template)
                if first is template:
                    key = template.sentence
                    yield labelled_draft(origin, command.text, label, reading, split_key=key)
                elif first.sentence != template.sentence or first.intent != template.intent:
                    reason = f"duplicate of a sentence of {first.origin}"
                    yield set_aside(origin, reason, command.text, "duplicate")
            except (LookupError, ParseError, ValueError) as error:
                reason = f"cannot be drawn: {error}"
                yield set_aside(template.origin, reason, template.sentence)
                break


def _command(template: Template, intents: Intents, draw: int) -> _Command:
    dice = Dice(f"{template.intent}\x1f{template.sentence}\x1f{draw}")
    domain = dice.pick(template.domains) if template.domains else ""
    grammar = Grammar(intents.slot_lists, intents.expansion_rules, domain)
    text, slots = say(parse_sentence(template.sentence).expression, grammar, dice)
    return _Command(template, written(text, dice), slots)


def _words(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
