"""What people thought of each version that served them, and how long they stayed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean

from scipy import stats

from dialogue.serving.store import Answer, Rating


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """One version's.

    Attributes:
        replies: how many it served.
        rated: how many of them somebody rated, by their last word.
        satisfied: share of the rated that were liked; None where nothing was rated.
        low: lower end of its 95 % interval; None as above.
        high: upper end.
        conversations: how many named conversations it took part in, each user's apart.
        turns_per_conversation: its replies in them, on average; None where none is named.
        words_per_turn: how much people wrote to it at a time, on average.
    """

    replies: int
    rated: int
    satisfied: float | None
    low: float | None
    high: float | None
    conversations: int
    turns_per_conversation: float | None
    words_per_turn: float


def satisfaction(
    answers: Iterable[Answer], ratings: Mapping[str, Rating]
) -> dict[str, Satisfaction]:
    """By `model@version`, in order of first service.

    Intervals are Wilson's (1927, "Probable inference", JASA 22), which hold for few ratings and for
    shares near 0 and 1. They take ratings as independent, which those of one person are not.
    """
    served: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        served[f"{answer.model}@{answer.version}"].append(answer)
    return {version: _satisfaction(own, ratings) for version, own in served.items()}


def _satisfaction(answers: list[Answer], ratings: Mapping[str, Rating]) -> Satisfaction:
    opinions = [ratings[answer.id].opinion for answer in answers if answer.id in ratings]
    share = low = high = None
    if opinions:
        liked = opinions.count("up")
        share = liked / len(opinions)
        wilson = stats.binomtest(liked, len(opinions)).proportion_ci(method="wilson")
        low, high = float(wilson.low), float(wilson.high)
    # Clients name conversations for themselves: two users' "1" are two.
    named = [(each.user, each.conversation) for each in answers if each.conversation is not None]
    conversations = len(set(named))
    return Satisfaction(
        replies=len(answers),
        rated=len(opinions),
        satisfied=share,
        low=low,
        high=high,
        conversations=conversations,
        turns_per_conversation=len(named) / conversations if conversations else None,
        words_per_turn=mean(len(answer.history[-1].text.split()) for answer in answers),
    )
