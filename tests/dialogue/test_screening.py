"""Screening sees languages and abuse, without the network, and opens no pickle it does not know."""

from __future__ import annotations

import math
import socket
from pathlib import Path

import pytest

from dialogue import screening
from dialogue.screening import abuse_scores, language_of, screen

SHARED = Path(__file__).parents[2] / "../shared/data"

ENGLISH = ["Do you know a good place for lunch around here?", "Try the bakery near the station."]
CHINESE = ["请问附近有什么好吃的饭馆吗？", "车站旁边的面馆很不错。"]
GERMAN = ["Wissen Sie, wo man hier gut essen kann?", "Versuchen Sie es beim Bäcker am Bahnhof."]
RUDE = ["What do you think of him?", "He is a stupid idiot and a complete asshole."]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("screening wants the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_languages_and_abuse_are_found() -> None:
    result = screen({3: ENGLISH, 5: CHINESE, 8: GERMAN, 9: RUDE}, "en")
    assert result.languages == {"en": 2, "zh": 1, "de": 1}
    assert result.language_share == 0.5
    assert result.foreign == (5, 8)
    assert result.abusive == (9,)
    assert result.abusive_share == 1 / 8
    assert (result.num_dialogues, result.num_turns) == (4, 8)


def test_the_models_are_loaded_without_the_network() -> None:
    screening._detector.cache_clear()
    assert language_of(" ".join(CHINESE)) == "zh"
    assert (abuse_scores([*ENGLISH, *CHINESE]) < 0.5).all()


def test_texts_without_words_are_undetermined() -> None:
    assert language_of("") == language_of("12:30 👍 …") == "und"


def test_a_text_of_several_lines_or_great_length_is_taken() -> None:
    assert language_of("\n".join(ENGLISH) + "\x00") == "en"
    assert language_of("Where can we have lunch today? " * 10_000) == "en"


def test_no_sample_has_no_shares() -> None:
    result = screen({}, "en")
    assert math.isnan(result.language_share)
    assert math.isnan(result.abusive_share)
    assert len(abuse_scores([])) == 0


def test_an_unknown_pickle_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(screening._KNOWN_PICKLES, "model.joblib", "0" * 64)
    screening._abuse_model.cache_clear()
    with pytest.raises(ValueError, match=r"model\.joblib: not the pickle .* not opened"):
        abuse_scores(["hello"])
    screening._abuse_model.cache_clear()


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_real_dialogues_are_in_their_language(language: str) -> None:
    path = SHARED / "dailydialog" / f"validation.{language}.txt"
    lines = path.read_text(encoding="utf-8").splitlines()[:300]
    sample = {row: line.split("\t")[0].split("__eou__") for row, line in enumerate(lines)}
    result = screen(sample, language)
    assert result.language_share > 0.99
    assert result.abusive_share < 0.01
