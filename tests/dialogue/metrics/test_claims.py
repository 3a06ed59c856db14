from __future__ import annotations

import pytest

from dialogue.metrics.claims import Claim, statements, stem


def test_stems_join_plural_and_present_tense() -> None:
    assert stem("likes") == stem("like")
    assert stem("cities") == stem("city")
    assert stem("movies") == stem("movie")
    assert stem("two") == stem("2") == "2"
    assert stem("bus") == "bus"


def test_a_claim_is_who_what_and_whether_denied() -> None:
    ((claim,),) = statements("Well, I don't really love any dogs!")
    assert claim == Claim(("i", "lov", "dog"), ("i", "lik", "dog"), 1, denied=True)
    ((claim,),) = statements("My sister has always loved tea.")
    assert claim.words[:2] == ("my", "sister")
    assert claim.weaker == ("my", "sister", "hav", "loved", "tea")
    assert not claim.denied


@pytest.mark.parametrize(
    "spelled",
    ["I don't have a dog.", "i dont have a dog", "I do n't have a dog .", "I don ’ t have a dog"],
)
def test_contractions_of_every_spelling(spelled: str) -> None:
    ((claim,),) = statements(spelled)
    assert claim == Claim(("i", "hav", "dog"), ("i", "hav", "dog"), 1, denied=True)


def test_a_sentence_may_make_several_claims_and_a_question_none() -> None:
    found = list(statements("I like tea, but I hate coffee. Do you? Hello!\nwhat a day"))
    assert [[claim.words[1] for claim in claims] for claims in found] == [["lik", "hat"], []]


def test_times_and_prices_are_one_word() -> None:
    ((claim,),) = statements("I get up at 7:30 and pay $1,250.50 rent.")
    assert "7:30" in claim.words
    assert "1,250.50" in claim.words
