"""Home Assistant's intents: commands to a home, sampled from sentence templates, with answers.

`hassil` parses the templates; the answers are the intents' own response templates, rendered
against a home that is made up for each sentence (scenes.py, house.py).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from hassil import Intents
from hassil.expression import Sentence
from hassil.parse_expression import parse_sentence
from hassil.parser import ParseError
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from dialogue.records import Reject, reject
from dialogue.sources.draft import Draft
from dialogue.sources.formats.home_assistant.dice import Dice
from dialogue.sources.formats.home_assistant.scenes import Request, Scene, scene_of
from dialogue.sources.formats.home_assistant.sentences import Grammar, say, written
from dialogue.sources.formats.lines import whole_text

_DRAWS_PER_TEMPLATE = 8


@dataclass(frozen=True, slots=True)
class _Template:
    """One sentence template with what its intent says about it."""

    origin: str
    sentence: str
    intent: str
    response: str
    response_template: str
    domains: tuple[str, ...]
    """What the named thing may be: light, cover, person, …; may be empty."""
    in_area: bool
    """Whether the listening device's own area belongs to the command."""


def read_home_assistant(name: str, stream: IO[bytes]) -> Iterator[Draft | Reject]:
    """One user turn and its answer for each different sentence drawn from each template.

    Where the answer depends on the home (what is on, what time it is), a system turn tells it.
    A template is in one split with all its sentences, so the test split asks in unseen ways.
    Templates that have no answer, or one that cannot be rendered, are set aside.

    Raises:
        ValueError: the file is not a language file of home-assistant-intents.
    """
    data = _language(name, whole_text(name, stream))
    try:
        intents = Intents.from_dict(data)
        templates = list(_templates(name, data))
    except (AttributeError, KeyError, TypeError, ParseError) as error:
        reason = f"{type(error).__name__} {error}"
        raise ValueError(f"{name}: wrong shape: {reason}; is the file whole?") from error
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    # Thousands of sentences share some sixty response templates.
    compiled = functools.cache(environment.from_string)
    for template in templates:
        yield from _drawn(template, intents, compiled)


def _language(name: str, text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{name}:{error.lineno}: not JSON: {error.msg}; is the file whole?"
        ) from error
    missing = [
        key
        for key in ("intents", "responses", "lists", "expansion_rules")
        if not isinstance(data, dict) or not isinstance(data.get(key), dict)
    ]
    if missing:
        raise ValueError(
            f"{name}: lacks `{missing[0]}`; is it a language file of home-assistant-intents?"
        )
    assert isinstance(data, dict)
    return data


def _templates(name: str, data: dict[str, Any]) -> Iterator[_Template]:
    responses = data["responses"].get("intents", {})
    for intent, entry in data["intents"].items():
        for index, block in enumerate(entry["data"]):
            context = block.get("requires_context", {})
            response = block.get("response", "default")
            for number, sentence in enumerate(block["sentences"]):
                yield _Template(
                    origin=f"{name}#{intent}[{index}][{number}]",
                    sentence=sentence,
                    intent=intent,
                    response=response,
                    response_template=responses.get(intent, {}).get(response, ""),
                    domains=_domains(block.get("slots", {}), context),
                    in_area="area" in context,
                )


def _domains(slots: Mapping[str, Any], context: Mapping[str, Any]) -> tuple[str, ...]:
    found = slots.get("domain", context.get("domain", ()))
    return (found,) if isinstance(found, str) else tuple(found)


def _drawn(
    template: _Template, intents: Intents, compiled: Callable[[str], Template]
) -> Iterator[Draft | Reject]:
    """The template's sentences with their answers; one reject where they have none."""
    seen: set[str] = set()
    try:
        parsed = parse_sentence(template.sentence)
    except ParseError as error:
        yield reject(template.origin, f"not a template: {error}", template.sentence)
        return
    for draw in range(_DRAWS_PER_TEMPLATE):
        dice = Dice(f"{template.intent}\x1f{template.sentence}\x1f{draw}")
        try:
            text, scene = _situation(template, parsed, intents, dice)
            answer = _answer(compiled(template.response_template), scene)
        except (TemplateError, LookupError, TypeError, ValueError) as error:
            reason = f"cannot be rendered: {type(error).__name__} {error}"
            yield reject(template.origin, reason, template.sentence)
            return
        if not answer:
            yield reject(template.origin, "no answer", template.sentence, "scope")
            return
        if text not in seen:
            seen.add(text)
            told = [("system", scene.told)] if scene.told else []
            turns = [*told, ("user", written(text, dice)), ("assistant", answer)]
            yield Draft(f"{template.origin}/{draw}", turns, split_key=template.sentence)


def _situation(
    template: _Template, parsed: Sentence, intents: Intents, dice: Dice
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
