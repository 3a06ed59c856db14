"""Home Assistant's intents: commands to a home, sampled from sentence templates, with answers.

`hassil` parses the templates; the answers are the intents' own response templates, rendered
against a home that is made up for each sentence (scenes.py, house.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import IO

from hassil import Intents
from hassil.expression import Sentence
from hassil.parse_expression import parse_sentence
from hassil.parser import ParseError
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from dialogue.records import Reject
from dialogue.sources.draft import Draft, set_aside
from dialogue.sources.formats.home_assistant.dice import Dice
from dialogue.sources.formats.home_assistant.scenes import Request, Scene, scene_of
from dialogue.sources.formats.home_assistant.sentences import Grammar, say, written
from dialogue.sources.formats.home_assistant.templates import Template as SentenceTemplate
from dialogue.sources.formats.home_assistant.templates import load
from dialogue.sources.formats.lines import whole_text
from dialogue.sources.reading import Reading

DRAWS_PER_TEMPLATE = 8


def read_home_assistant(
    name: str,
    stream: IO[bytes],
    reading: Reading,  # noqa: ARG001
) -> Iterator[Draft | Reject]:
    """One user turn and its answer for each different sentence drawn from each template.

    Where the answer depends on the home (what is on, what time it is), a system turn tells it.
    A template is in one split with all its sentences, so the test split asks in unseen ways.
    Templates that have no answer, or one that cannot be rendered, are set aside.

    Raises:
        ValueError: the file is not a language file of home-assistant-intents.
    """
    intents, templates = load(name, whole_text(name, stream))
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    # Thousands of sentences share some sixty response templates.
    compiled = functools.cache(environment.from_string)
    for template in templates:
        yield from _drawn(template, intents, compiled)


def _drawn(
    template: SentenceTemplate, intents: Intents, compiled: Callable[[str], Template]
) -> Iterator[Draft | Reject]:
    """The template's sentences with their answers; one reject where they have none."""
    seen: set[str] = set()
    try:
        parsed = parse_sentence(template.sentence)
    except ParseError as error:
        yield set_aside(template.origin, f"not a template: {error}", template.sentence)
        return
    for draw in range(DRAWS_PER_TEMPLATE):
        dice = Dice(f"{template.intent}\x1f{template.sentence}\x1f{draw}")
        try:
            text, scene = _situation(template, parsed, intents, dice)
            answer = _answer(compiled(template.response_template), scene)
        except (TemplateError, LookupError, TypeError, ValueError) as error:
            reason = f"cannot be rendered: {type(error).__name__} {error}"
            yield set_aside(template.origin, reason, template.sentence)
            return
        if not answer:
            yield set_aside(template.origin, "no answer", template.sentence, "scope")
            return
        if text not in seen:
            seen.add(text)
            told = [("system", scene.told)] if scene.told else []
            turns = [*told, ("user", written(text, dice)), ("assistant", answer)]
            yield Draft(f"{template.origin}/{draw}", turns, split_key=template.sentence)


def _situation(
    template: SentenceTemplate, parsed: Sentence, intents: Intents, dice: Dice
) -> tuple[str, Scene]:
    """A sentence of the template, and the home it is said in."""
    domain = dice.pick(template.domains) if template.domains else ""
    grammar = Grammar(intents.slot_lists, intents.expansion_rules, domain)
    text, slots = say(parsed.expression, grammar, dice)
    request = Request(template.intent, template.response, domain, slots, template.in_area)
    return text, scene_of(request, dice)


def _answer(response: Template, scene: Scene) -> str:
    words = " ".join(response.render(scene.variables).split())
    return words[:1].upper() + words[1:]
