"""The scene of a request: the state of a home that its answer is rendered from."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dialogue.sources.formats.home_assistant.dice import Dice
from dialogue.sources.formats.home_assistant.house import (
    AREAS,
    CONDITIONS,
    NAMES,
    ON_OFF,
    STATES,
    UNITS,
    ZONES,
    opposite_state,
    plain_state,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: the intent, its kind of response, the kind of thing, the slots as worded."""

    intent: str
    response: str
    domain: str
    slots: Mapping[str, str]
    in_area: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """What the response template sees, and what of it a model must be told to know the answer."""

    variables: dict[str, Any]
    told: str = ""


class HomeState(str):
    """A thing's state as response templates use it: a text that knows its unit and kind."""

    state: str
    state_with_unit: str
    domain: str
    entity_id: str
    attributes: dict[str, Any]

    def __new__(cls, state: str, domain: str = "", unit: str = "", **attributes: Any) -> HomeState:
        """`state` with what the home knows of it besides."""
        made = super().__new__(cls, state)
        made.state = state
        made.state_with_unit = f"{state} {unit}".strip()
        made.domain = domain
        made.entity_id = domain
        made.attributes = attributes
        return made


@dataclass(frozen=True, slots=True)
class _Thing:
    """Something of the home that matches a question or not."""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class _Query:
    matched: list[_Thing] = field(default_factory=list)
    unmatched: list[_Thing] = field(default_factory=list)


def scene_of(request: Request, dice: Dice) -> Scene:
    """A home in which the request makes sense, drawn by the dice."""
    slots: dict[str, Any] = dict(request.slots)
    if request.in_area:
        slots.setdefault("area", dice.pick(AREAS))
    scene = _SCENES.get(request.intent, _action)(request, slots, dice)
    return Scene({"slots": slots, **scene.variables}, scene.told)


def _action(request: Request, slots: dict[str, Any], dice: Dice) -> Scene:  # noqa: ARG001
    """Something is done: the answer follows from the request alone."""
    return Scene({"state": HomeState("on", request.domain)})


def _play(request: Request, slots: dict[str, Any], dice: Dice) -> Scene:
    slots["media"] = slots["search_query"]
    return _action(request, slots, dice)


def _state(request: Request, slots: dict[str, Any], dice: Dice) -> Scene:
    """Questions about one thing (`one…`, `where`), or about all things of a kind."""
    if request.response not in ("one", "one_yesno", "where"):
        return _group(request, slots, dice)
    name = slots["name"]
    if request.response == "one":
        state, unit = _reading(request.domain, name, dice)
    elif request.response == "where":
        state, unit = dice.pick(("home", *ZONES)), ""
    else:
        asked = plain_state(slots["state"])
        state, unit = (asked if dice.below(2) else _other(asked, dice)), ""
    home_state = HomeState(state, request.domain, unit)
    thing = _Thing(name, home_state.state_with_unit)
    matched = request.response == "where" or state == plain_state(slots.get("state", ""))
    query = _Query([thing], []) if matched else _Query([], [thing])
    return Scene({"state": home_state, "query": query}, _told(slots, [thing]))


def _group(request: Request, slots: dict[str, Any], dice: Dice) -> Scene:
    asked = plain_state(slots["state"])
    names = dice.shuffled(_group_names(request, slots))[: dice.between(1, 6)]
    matched, unmatched = [], []
    for name in names:
        if dice.below(2):
            matched.append(_Thing(name, asked))
        else:
            unmatched.append(_Thing(name, _other(asked, dice)))
    things = sorted([*matched, *unmatched], key=lambda thing: thing.name)
    return Scene({"query": _Query(matched, unmatched)}, _told(slots, things))


def _group_names(request: Request, slots: dict[str, Any]) -> list[str]:
    """Names of things that the question is about: `kitchen blind`, `left blind`, `desk lamp`."""
    if "device_class" not in slots:
        return list(NAMES[request.domain])
    kind = str(slots["device_class"]).removesuffix("s")
    if "area" in slots:
        return [f"{place} {kind}" for place in ("left", "right", "front", "back", "middle")]
    return [f"{area} {kind}" for area in AREAS]


def _reading(domain: str, name: str, dice: Dice) -> tuple[str, str]:
    if domain == "sensor":
        return str(dice.between(3, 95)), UNITS[name]
    return dice.pick(STATES.get(domain, ON_OFF)), ""


def _other(state: str, dice: Dice) -> str:
    places = [zone for zone in ("home", *ZONES) if zone != state]
    return opposite_state(state) or dice.pick(places)


def _told(slots: Mapping[str, Any], things: list[_Thing]) -> str:
    where = f"{slots['area']}, " if "area" in slots else ""
    where = f"{slots['floor']} floor, " if "floor" in slots else where
    states = "; ".join(f"{thing.name}: {_placed(thing.state)}" for thing in things)
    return f"State of the home. {where.capitalize()}{states}."


def _placed(state: str) -> str:
    return f"at {state}" if state in ("home", *ZONES) else state


def _weather(request: Request, slots: dict[str, Any], dice: Dice) -> Scene:
    condition, degrees = dice.pick(CONDITIONS), dice.between(-10, 35)
    state = HomeState(condition, request.domain, temperature=degrees, temperature_unit="°C")
    where = f" in {slots['name']}" if "name" in slots else ""
    sky = {"partlycloudy": "partly cloudy"}.get(condition, condition)
    return Scene({"state": state}, f"The weather{where}: {sky}, {degrees} °C.")


def _time(request: Request, slots: dict[str, Any], dice: Dice) -> Scene:  # noqa: ARG001
    slots["time"] = datetime.time(dice.below(24), dice.below(60))
    return Scene({}, f"The time is {slots['time']:%H:%M}.")


def _date(request: Request, slots: dict[str, Any], dice: Dice) -> Scene:  # noqa: ARG001
    slots["date"] = datetime.date(2025, 1, 1) + datetime.timedelta(days=dice.below(730))
    return Scene({}, f"The date is {slots['date'].isoformat()}.")


def _temperature(request: Request, slots: dict[str, Any], dice: Dice) -> Scene:
    degrees = dice.between(14, 30)
    state = HomeState("heat", request.domain, current_temperature=degrees)
    where = slots.get("name", slots.get("area", "home"))
    # Templates ask for attributes by the thing's id; there is one thing here.
    variables = {"state": state, "state_attr": lambda _, name: state.attributes.get(name)}
    return Scene(variables, f"Temperature: {where} {degrees} degrees.")


def _cancel_all(request: Request, slots: dict[str, Any], dice: Dice) -> Scene:  # noqa: ARG001
    slots["canceled"] = dice.below(4)
    where = f" in the {slots['area']}" if "area" in slots else ""
    return Scene({}, f"Timers running{where}: {slots['canceled']}.")


def _timer_status(request: Request, slots: dict[str, Any], dice: Dice) -> Scene:  # noqa: ARG001
    """One timer that fits the slots, running or paused; or none, where none was named."""
    start = {unit: _number(slots.get(f"start_{unit}", "0")) for unit in _SECONDS}
    length = sum(number * _SECONDS[unit] for unit, number in start.items())
    left = dice.between(1, max(1, length - 1)) if length else dice.between(20, 7_200)
    hours, minutes, seconds = left // 3_600, left % 3_600 // 60, 0 if left > 3_600 else left % 60
    timer: dict[str, Any] = {
        "is_active": dice.below(6) > 0,
        "total_seconds_left": left,
        "rounded_hours_left": hours,
        "rounded_minutes_left": minutes,
        "rounded_seconds_left": seconds,
        "name": slots.get("name", ""),
        "area": slots.get("area", ""),
        **{f"start_{unit}": number for unit, number in start.items()},
    }
    label = " ".join(f"{number} {unit[:-1]}" for unit, number in start.items() if number)
    label = label or timer["name"] or timer["area"]
    if not label and not dice.below(6):
        slots["timers"] = []
        return Scene({}, "Timers: none.")
    slots["timers"] = [timer]
    remains = f"{hours}:{minutes:02}:{seconds:02} left"
    paused = "" if timer["is_active"] else ", paused"
    return Scene({}, f"Timers: {f'{label} timer'.strip()}, {remains}{paused}.")


def _number(worded: str) -> int:
    return 30 if worded in ("half", "1/2") else int(worded)


_SECONDS = {"hours": 3_600, "minutes": 60, "seconds": 1}
_SCENES: dict[str, Callable[[Request, dict[str, Any], Dice], Scene]] = {
    "HassCancelAllTimers": _cancel_all,
    "HassClimateGetTemperature": _temperature,
    "HassGetCurrentDate": _date,
    "HassGetCurrentTime": _time,
    "HassGetState": _state,
    "HassGetWeather": _weather,
    "HassMediaSearchAndPlay": _play,
    "HassTimerStatus": _timer_status,
}
