from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.metrics.contradiction import self_contradiction

CONTRADICTIONS = [
    # the verb is denied
    ("I have a dog.", "I don't have any dogs."),
    ("I have a sister, and I love her to bits.", "Oh, I have no sister."),
    ("I saw the movie.", "No, I didn’t see the movie, sorry!"),
    ("I loved the book", "i didnt like the book lol"),
    ("I can swim.", "I cant swim"),
    ("I've been to Paris.", "I have never been to Paris."),
    ("Yes, I'm a vegetarian.", "I am not a vegetarian."),
    ("My wife works at a bank.", "My wife doesn't work at a bank."),
    ("My dogs are really smart.", "Actually, my dogs aren't smart."),
    ("I will go to the party.", "I won't go to the party"),
    ("I like dogs very much.", "I like cats, but I don't like dogs at all."),
    ("We live in Ohio!", "we do not live in Ohio"),
    ("You are a robot.", "You're not a robot."),
    # antonyms
    ("I love pizza!", "I hate pizza."),
    ("I'm married", "I am single"),
    ("I always eat meat.", "I never eat meat."),
    ("My dog is very big.", "my dog is small"),
    ("I am a human.", "I'm a bot!"),
    # numbers
    ("I have two dogs.", "I have 3 dogs"),
    ("My son is 10.", "My son is 12."),
    ("I am 25 years old.", "I'm 31 years old."),
    ("My brother is 12.", "My brother is 15"),
]

NEAR_MISSES = [
    # other things, other people
    ("I like dogs.", "I don't like cats."),
    ("I like it.", "You don't like it."),
    ("I have a dog.", "You don't have a dog."),
    ("My brother is tall.", "My sister is short."),
    ("I like big dogs.", "I like small dogs."),
    ("I have two dogs.", "I have three cats."),
    ("I have no idea.", "I have an idea!"),
    ("I have no doubt.", "I have a doubt."),
    ("I am not only a teacher.", "I am only a teacher."),
    ("My flight is 10.", "My flight is 12."),
    ("I love pizza.", "I hate pizza with pineapple."),
    ("Pets are allowed.", "No, pets are not allowed."),
    ("I have found 7 events.", "I have found 2 events."),
    ("I have 4 suggestions.", "I have 3 suggestions."),
    ("Your balance is $1,654.80.", "Your balance is $1,250.30."),
    ("You have 5 apples.", "You have 2 apples."),
    ("I get up at 7:30 on Mondays.", "I get up at 8:15 on Sundays."),
    # what is meant stands elsewhere
    ("I like it.", "I don't like it."),
    ("That is good.", "That is not good."),
    ("She is married.", "She is single."),
    ("I know.", "I don't know."),
    ("I think so.", "I don't think so."),
    ("I am.", "I'm not."),
    ("I'm sure.", "I'm not sure."),
    ("I have two.", "I have three."),
    ("I know what you mean.", "I don't know what you mean."),
    # questions
    ("I like dogs.", "Don't you like dogs?"),
    ("Do you like dogs", "I don't like dogs."),
    ("I like dogs.", "I don't like dogs?"),
    # quoted and reported
    ("I like dogs.", 'My favourite song is "I don\'t like dogs".'),
    ("I like dogs.", "My wife says I don't like dogs."),
    ("I am a bot.", "Nobody told me: I am not a bot."),
    # supposed
    ("I have a car.", "If I don't have a car, my life is hard."),
    ("I like dogs.", "I would never like dogs."),
    ("I have a dog.", "I wish I had no dog."),
    ("I am going to Paris.", "Maybe I am not going to Paris."),
    # times
    ("I was at home yesterday.", "I was not at home today."),
    ("I have a job now.", "I have no job."),
    ("I had a dog.", "I don't have a dog."),
    ("I don't smoke cigarettes anymore.", "I smoke cigarettes."),
    ("I was married.", "I am single."),
    ("I ate two apples.", "I ate three apples."),
    # both hold
    ("I like dogs.", "I don't hate dogs."),
    ("I love dogs.", "I like dogs."),
    ("I'm not married.", "I am single."),
    ("I don't have two dogs.", "I don't have three dogs."),
    ("I have about 20 books.", "I have 25 books."),
    ("I'm not a very good cook.", "I am a cook."),
    ("I like people who smoke.", "I like people who don't smoke."),
    ("I don't like all dogs.", "I like dogs."),
    ("Some dogs are dangerous.", "Some dogs are not dangerous."),
    ("No, I like dogs.", "Yes, I like dogs."),
    ("I like dogs.", "I like dogs, not cats."),
    ("I don't eat meat except chicken.", "I eat meat."),
]


@pytest.mark.parametrize(("earlier", "later"), CONTRADICTIONS)
def test_a_contradiction_is_found_in_either_order(earlier: str, later: str) -> None:
    assert self_contradiction([earlier, later])[0] == 1.0
    assert self_contradiction([later, "So what?", earlier])[0] == 1.0


@pytest.mark.parametrize(("earlier", "later"), NEAR_MISSES)
def test_a_near_miss_is_none(earlier: str, later: str) -> None:
    assert self_contradiction([earlier, later])[0] == 0.0
    assert self_contradiction([later, earlier])[0] == 0.0


def test_the_count_by_hand() -> None:
    turns = ["I have a dog. I love cats.", "Nice! Do you? I don't have a dog.", "I hate cats. Bye."]
    # "Nice", two denials and "Bye"; the question is no statement.
    assert self_contradiction(turns) == (2.0, 4.0)
    # One that denies two earlier ones counts once.
    assert self_contradiction(["I like tea. I love tea.", "I hate tea."]) == (1.0, 1.0)


def test_a_turn_is_held_against_earlier_ones_only() -> None:
    assert self_contradiction(["I have a dog. I don't have a dog."]) == (0.0, 0.0)
    assert self_contradiction(["Hello.", "I have a dog. I don't have a dog."]) == (0.0, 2.0)
    assert self_contradiction([]) == self_contradiction(["", ""]) == (0.0, 0.0)


TEXTS = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.sampled_from([text for pair in (*CONTRADICTIONS, *NEAR_MISSES) for text in pair]),
    ),
    max_size=6,
)


@given(TEXTS)
def test_never_more_than_its_weight_and_never_of_what_is_said_again(turns: list[str]) -> None:
    value, weight = self_contradiction(turns)
    assert 0 <= value <= weight
    assert self_contradiction(turns[:1] * 2)[0] == 0.0
