"""The sentence templates of a language file of home-assistant-intents, with their answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hassil import Intents
from hassil.parser import ParseError


@dataclass(frozen=True, slots=True)
class Template:
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


def load(name: str, text: str) -> tuple[Intents, list[Template]]:
    """What a language file says: its lists and rules, and every sentence template.

    Raises:
        ValueError: it is no language file of home-assistant-intents.
    """
    data = _language(name, text)
    try:
        return Intents.from_dict(data), list(_templates(name, data))
    except (AttributeError, KeyError, TypeError, ParseError) as error:
        reason = f"{type(error).__name__} {error}"
        raise ValueError(f"{name}: wrong shape: {reason}; is the file whole?") from error


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


def _templates(name: str, data: dict[str, Any]) -> Iterator[Template]:
    responses = data["responses"].get("intents", {})
    for intent, entry in data["intents"].items():
        for index, block in enumerate(entry["data"]):
            context = block.get("requires_context", {})
            response = block.get("response", "default")
            for number, sentence in enumerate(block["sentences"]):
                yield Template(
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
