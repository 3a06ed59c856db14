"""What a home is made of: the rooms, the things by kind, and what people say about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

AREAS = (
    "kitchen", "bedroom", "living room", "bathroom", "garage", "office", "hallway", "basement",
    "dining room", "nursery", "attic", "guest room", "laundry room", "garden",
)  # fmt: skip
FLOORS = ("ground", "first", "second", "third", "top", "lower", "upper")
ZONES = ("work", "school", "gym", "office", "library")
ON_OFF = ("on", "off")
CONDITIONS = (
    "clear", "cloudy", "fog", "hail", "lightning", "partlycloudy", "pouring", "rainy", "snowy",
    "sunny", "windy",
)  # fmt: skip
WORDS: Mapping[str, Sequence[str]] = {
    "area": AREAS,
    "floor": FLOORS,
    "zone": ZONES,
    "message": (
        "dinner is ready", "the taxi is here", "it is time for bed", "we leave in ten minutes",
        "the movie is about to start", "please come to the kitchen", "the guests have arrived",
    ),
    "search_query": (
        "some jazz", "classical music", "the morning news", "whale songs", "piano covers",
        "summer hits", "road trip", "the moonlight sonata", "lullabies", "rock classics",
    ),
    "timer_name": ("pizza", "laundry", "pasta", "tea", "homework", "egg", "bread", "nap"),
    "timer_command": (
        "turn off the lights", "open the garage door", "turn on the fan", "lock the front door",
        "stop the music", "close the blinds",
    ),
    "shopping_list_item": (
        "milk", "eggs", "bread", "apples", "coffee", "olive oil", "paper towels", "butter",
        "tomatoes", "cat food", "oat milk", "rice",
    ),
    "todo_list_item": (
        "call the dentist", "water the plants", "pay the rent", "book flights", "clean the oven",
        "return the books", "wash the car", "buy a present",
    ),
    # The intents allow for any number up to 100; these are what people ask for.
    "timer_hours": tuple(str(number) for number in range(1, 13)),
    "timer_minutes": tuple(str(number) for number in range(1, 60)),
    "timer_seconds": tuple(str(number) for number in range(1, 60)),
    "temperature": tuple(str(number) for number in (*range(16, 27), *range(60, 79))),
}  # fmt: skip
"""By slot list: what is said for it."""
NAMES: Mapping[str, Sequence[str]] = {
    "light": (
        "ceiling light", "bedside lamp", "desk lamp", "floor lamp", "porch light", "reading lamp",
        "spotlights", "fairy lights", "wall lamp",
    ),
    "switch": ("coffee maker", "kettle", "heater", "aquarium pump", "printer", "toaster"),
    "fan": ("ceiling fan", "desk fan", "tower fan", "extractor fan", "window fan"),
    "media_player": ("tv", "speaker", "radio", "soundbar", "record player", "projector"),
    "input_boolean": ("guest mode", "holiday mode", "night mode", "movie mode"),
    "climate": ("thermostat", "air conditioner", "heat pump", "floor heating"),
    "cover": (
        "garage door", "left curtain", "right curtain", "roller blind", "skylight", "awning",
        "side gate", "shutter",
    ),
    "lock": ("front door", "back door", "garage door", "garden gate", "cellar door", "shed"),
    "valve": ("water valve", "sprinkler valve", "gas valve", "radiator valve"),
    "binary_sensor": ("window", "front door", "back door", "mailbox", "fridge door", "skylight"),
    "sensor": ("outdoor temperature", "indoor humidity", "power usage", "water pressure"),
    "person": ("Alice", "Bob", "Maria", "James", "Sofia", "Daniel", "Emma", "Noah"),
    "scene": ("movie night", "good morning", "dinner time", "relax", "bright", "party"),
    "script": ("bedtime routine", "leaving home", "wake up routine", "cleaning routine"),
    "button": ("doorbell", "restart", "garage button", "panic button"),
    "input_button": ("reset", "snooze", "water the lawn"),
    "todo": ("shopping", "chores", "packing", "work", "weekend"),
    "vacuum": ("robot", "roomba", "dust buster", "upstairs vacuum"),
    "lawn_mower": ("robot", "front yard", "back yard", "garden"),
    "weather": ("London", "Lisbon", "Paris", "hometown", "mountains"),
}  # fmt: skip
"""By kind of thing: what it may be called."""
UNITS = {
    "outdoor temperature": "°C", "indoor humidity": "%",
    "power usage": "W", "water pressure": "bar",
}  # fmt: skip
STATES: Mapping[str, Sequence[str]] = {
    "cover": ("open", "closed"),
    "valve": ("open", "closed"),
    "lock": ("locked", "unlocked"),
    "climate": ("heat", "cool", "off"),
    "media_player": ("playing", "paused", "idle", "off"),
}
"""By kind of thing; what is not here is on or off."""

_OPPOSITES = {
    "on": "off", "open": "closed", "locked": "unlocked", "occupied": "empty",
    "detected": "clear", "triggered": "clear", "opening": "closed", "closing": "open",
    "unoccupied": "occupied",
}  # fmt: skip
_SAME = {"shut": "closed", "shutting": "closing", "securely locked": "locked"}


def plain_state(worded: str) -> str:
    """A state as the home reports it, from how it was worded in a question."""
    return _SAME.get(worded, worded)


def opposite_state(worded: str) -> str | None:
    """A state that excludes the one asked about; None for a place."""
    state = plain_state(worded)
    both = {**{other: state for state, other in _OPPOSITES.items()}, **_OPPOSITES}
    return both.get(state)
