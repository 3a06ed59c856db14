from __future__ import annotations

import math

from dialogue.card.samples import Gain, Sample, choose_samples, gains_of
from dialogue.records import Dialogue, Turn
from dialogue.replies import Reply
from dialogue.scores import ModelRole, Score

NUMBER = 9


def score(role: ModelRole, dialogue: str, metric: str, value: float, weight: float = 1.0) -> Score:
    return Score(role, role, "chitchat", "chitchat", dialogue, metric, value, weight)


def exam() -> list[Dialogue]:
    turns = tuple(Turn(role, f"{role} {i}") for i in range(3) for role in ("user", "assistant"))
    return [
        Dialogue(str(i), turns, "chitchat", "test", "s", "o", "MIT", "d") for i in range(NUMBER)
    ]


def replies(number: int = NUMBER) -> list[Reply]:
    roles: tuple[ModelRole, ...] = ("candidate", "champion")
    return [
        Reply(role, "chitchat", str(i), f"{role} says {i}") for i in range(number) for role in roles
    ]


def scores() -> list[Score]:
    """Dialogue i gains i bits per byte over the champion, and ten times as much over the base."""
    return [
        each
        for i in range(NUMBER)
        for each in (
            score("candidate", str(i), "bits_per_byte", 2.0 * (10 - i), 2.0),
            score("champion", str(i), "bits_per_byte", 20.0, 2.0),
            score("candidate", str(i), "gain_over_base", 10.0 * i),
        )
    ]


def chosen(number: int = NUMBER, num_samples: int = 2, history_turns: int = 3) -> list[Sample]:
    return choose_samples(
        exam(),
        replies(number),
        scores(),
        num_samples=num_samples,
        history_turns=history_turns,
        seed=17,
    )


def test_the_best_the_worst_and_some_at_random_by_gain_over_the_champion() -> None:
    samples = chosen()
    picks = {
        pick: [s.dialogue_id for s in samples if s.pick == pick]
        for pick in ("best", "worst", "random")
    }
    assert picks["best"] == ["8", "7"]
    assert picks["worst"] == ["0", "1"]
    assert len(picks["random"]) == 2
    assert set(picks["random"]) <= set("23456")
    assert samples[0].gain == Gain("champion", 8.0)
    assert chosen() == samples


def test_a_sample_shows_what_was_said_before_the_last_reply() -> None:
    first = chosen()[0]
    assert first.history == (("user", "user 1"), ("assistant", "assistant 1"), ("user", "user 2"))
    assert first.num_omitted == 2
    assert first.human == "assistant 2"
    assert (first.candidate, first.champion) == ("candidate says 8", "champion says 8")


def test_few_dialogues_are_shown_once_each() -> None:
    for number in range(NUMBER):
        ids = [sample.dialogue_id for sample in chosen(number, num_samples=3)]
        assert sorted(ids) == [str(i) for i in range(number)]
    assert chosen(num_samples=0) == []


def test_without_a_champion_the_gain_is_over_the_base() -> None:
    ours = [each for each in scores() if each.model_role == "candidate"]
    assert gains_of(ours)["chitchat", "3"] == Gain("base", 30.0)


def test_what_cannot_be_ranked_is_not_shown() -> None:
    damaged = [
        score("candidate", "0", "gain_over_base", math.nan),
        score("candidate", "1", "gain_over_base", 1.0, weight=0.0),
        score("candidate", "2", "gain_over_base", math.inf),
    ]
    assert gains_of(damaged) == {}
