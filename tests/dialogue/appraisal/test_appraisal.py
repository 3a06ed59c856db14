from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from dialogue.appraisal import (
    COMPOSITE,
    COPIED,
    FLOOR,
    LEARNED,
    STANDARDS,
    Appraiser,
    Exchange,
    composite,
    load_reader,
)
from dialogue.appraisal.meaning import Head, load_head
from dialogue.appraisal.reading import Reader
from dialogue.model import load_model
from dialogue.tokenization import load_tokenizer

EXCHANGES = [
    Exchange(("hello there", "hello, how are you?"), "I am fine."),
    Exchange((), "hello there"),
    Exchange(("hello there", "hello, how are you?"), "how are you?"),
    Exchange(("are you there?",), "I am fine."),
    Exchange(("hello there",), "hello, how are you?"),
    Exchange(("hello there",), " hello, how are you? "),
    Exchange((), "hello there"),
    Exchange(("hello there" * 50,) * 9 + ("hello, how are you?",), "I am fine."),
    Exchange(("hello there",), ""),
]
_DRAWN = np.random.default_rng(3).normal(size=(3, 8, 4))
HEAD = Head(*_DRAWN)
PREAMBLE = "Anna and Ben have a conversation.\n\n"


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors that follow from the text."""
    rows = [np.random.default_rng(zlib.crc32(text.encode())).normal(size=8) for text in texts]
    vectors = np.array(rows, dtype=np.float32)
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


@pytest.fixture(scope="module")
def appraiser(tiny_model: Path) -> Appraiser:
    model = load_model(tiny_model)
    model.train(False)
    return Appraiser(Reader(model, load_tokenizer(tiny_model)), encode, HEAD)


@pytest.fixture(autouse=True)
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialogue.appraisal.reading.choose_precision", lambda _: "fp32")


def test_likelihoods_are_those_of_the_transcripts(tiny_model: Path, appraiser: Appraiser) -> None:
    """Against transformers' own logits of each transcript by itself."""
    model, tokenizer = load_model(tiny_model), load_tokenizer(tiny_model)

    def total(before: str, text: str) -> tuple[float, int]:
        start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        prefix = start + tokenizer.encode(PREAMBLE + before, add_special_tokens=False)
        said = tokenizer.encode(text, add_special_tokens=False)
        with torch.no_grad():
            logits = model(torch.tensor([[*prefix, *said]])).logits[0].log_softmax(-1)
        places = range(len(prefix) - 1, len(prefix) + len(said) - 1)
        return sum(float(logits[p, t]) for p, t in zip(places, said, strict=True)), len(said)

    found = appraiser.appraise(EXCHANGES)
    after, count = total("Anna: hello there\nBen: hello, how are you?\nAnna:", " I am fine.\n")
    elsewhere = [
        total(before, " I am fine.\n")[0]
        for before in (
            "Anna:",
            "Anna: Hello, how are you?\nBen: I'm fine, thank you.\nAnna:",
            "Anna: I bought a new car yesterday.\nBen: What kind of car is it?\nAnna:",
        )
    ]
    assert found["likelihood"][0] == pytest.approx(after / count, abs=1e-4)
    wanted = (after - np.mean(elsewhere)) / count**0.5
    assert found["mutual_information"][0] == pytest.approx(wanted, abs=1e-3)


def test_next_utterance_is_the_log_odds_of_yes(tiny_model: Path, appraiser: Appraiser) -> None:
    """A response that stands in a longer transcript, and one that does not."""
    model, tokenizer = load_model(tiny_model), load_tokenizer(tiny_model)

    def log_odds(transcript: str) -> float:
        start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        ids = start + tokenizer.encode(PREAMBLE + transcript, add_special_tokens=False)
        yes = tokenizer.encode("Yes", add_special_tokens=False)[0]
        with torch.no_grad():
            share = float(model(torch.tensor([ids])).logits[0, -1].softmax(-1)[yes])
        return math.log(share / (1 - share))

    found = appraiser.appraise(EXCHANGES)["next_utterance"]
    before = "Anna: hello there\nBen: hello, how are you?\n"
    assert found[1] == 0.0, "nothing before it"
    assert found[4] == pytest.approx(log_odds(before), abs=1e-5)
    assert found[0] == pytest.approx(log_odds(f"{before}Anna: I am fine.\n"), abs=1e-5)


def test_each_exchange_is_appraised_by_itself(appraiser: Appraiser) -> None:
    together = appraiser.appraise(EXCHANGES)
    for index, each in enumerate(EXCHANGES):
        alone = appraiser.appraise([each])
        for name, values in together.items():
            assert alone[name][0] == pytest.approx(values[index], abs=1e-4), name


def test_meaning_by_hand(appraiser: Appraiser) -> None:
    """The first has two turns before it, of which the head takes the older one at a half."""
    found = appraiser.appraise(EXCHANGES)
    assert found["turn_similarity"][1] == found["fit"][1] == 0.0, "nothing before it"
    assert found["turn_similarity"][8] == found["fit"][8] == 0.0, "nothing said"
    texts = ["hello, how are you?", "hello there", "I am fine."]
    last, before, said = encode(texts).astype(float)
    assert found["turn_similarity"][0] == pytest.approx(last @ said, abs=1e-6)
    one, other = last @ HEAD.latest + before / 2 @ HEAD.earlier, said @ HEAD.response
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert found["fit"][0] == pytest.approx(cosine, abs=1e-6)


def test_an_empty_response_is_the_worst(appraiser: Appraiser) -> None:
    found = appraiser.appraise(EXCHANGES)[COMPOSITE]
    assert found[8] == FLOOR < found[:8].min()


def test_the_head_is_there_and_is_that_of_the_encoder() -> None:
    head = load_head()
    assert head.latest.shape == head.earlier.shape == head.response.shape == (384, 128)
    with pytest.raises(ValueError, match="restore it with git"):
        load_head(Path(__file__).with_name("no.safetensors"))
    with pytest.raises(ValueError, match="restore it with git"):
        load_head(Path(__file__))


def test_what_the_reader_learned_is_there(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 layers of seven matrices; for another model, or where it is missing, it is an error."""
    weights = load_file(LEARNED)
    assert len(weights) == 2 * 7 * 30
    assert {min(weight.shape) for weight in weights.values()} == {8}
    tiny = (load_model(tiny_model), load_tokenizer(tiny_model))
    monkeypatch.setattr("dialogue.appraisal.initial_model", lambda *_, seed: tiny)
    with pytest.raises(ValueError, match="restore it with git"):
        load_reader()
    for file in (tiny_model.with_name("none"), Path(__file__)):
        monkeypatch.setattr("dialogue.appraisal.LEARNED", file)
        with pytest.raises(ValueError, match="restore it with git"):
            load_reader()


def test_the_composite_is_in_spreads_of_real_responses() -> None:
    means = {name: np.array([s.mean, s.mean + s.spread]) for name, s in STANDARDS.items()}
    two = np.ones(2, dtype=np.bool_)
    assert composite(means | {COPIED: np.zeros(2)}, two) == pytest.approx([0.0, 1.0])
    assert composite(means | {COPIED: np.array([0.5, 1.0])}, two) == pytest.approx([0.0, -3.0])
    far = {name: np.array([s.mean + 99 * s.spread]) for name, s in STANDARDS.items()}
    assert composite(far | {COPIED: np.zeros(1)}, two[:1]) == pytest.approx([3.0])


def test_what_a_first_turn_cannot_have_counts_as_average() -> None:
    """An average response, and one that is a spread better: of 4.5 weights 2 remain."""
    found = {name: np.array([s.mean, s.mean + s.spread]) for name, s in STANDARDS.items()}
    found |= {"next_utterance": np.zeros(2), "fit": np.zeros(2), COPIED: np.zeros(2)}
    values = composite(found, np.zeros(2, dtype=np.bool_))
    assert values == pytest.approx([0.0, 2 / 4.5])
    # With a context, zeros count: (2 · −0.8 / 1.55 + 0.5 · −0.36 / 0.19) / 4.5.
    mixed = composite(found, np.array([True, False]))
    assert mixed == pytest.approx([(-1.6 / 1.55 - 0.18 / 0.19) / 4.5, 2 / 4.5])


def test_a_first_turn_is_not_worse_for_being_the_first(appraiser: Appraiser) -> None:
    found = appraiser.appraise(EXCHANGES)
    parts = {
        name: standard.weight * (found[name] - standard.mean) / standard.spread
        for name, standard in STANDARDS.items()
    }
    assert all(abs(parts[name][1]) < 3 for name in ("likelihood", "mutual_information"))
    wanted = (parts["likelihood"] + parts["mutual_information"])[1] / 4.5
    assert found[COMPOSITE][1] == pytest.approx(wanted)
