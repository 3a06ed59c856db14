from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dialogue.appraisal import COPIED, STANDARDS, Appraiser, Exchange, composite, copied
from dialogue.model import load_model, load_tokenizer

EXCHANGES = [
    Exchange(("hello there", "hello, how are you?"), "I am fine."),
    Exchange((), "hello there"),
    Exchange(("hello there", "hello, how are you?"), "how are you?"),
    Exchange(("are you there?",), "I am fine."),
    Exchange(("hello there",), "hello, how are you?"),
    Exchange(("hello there",), " hello, how are you? "),
    Exchange((), "hello there"),
    Exchange(("hello there" * 200, "hello, how are you?"), "I am fine."),
]


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors that follow from the text."""
    rows = [np.random.default_rng(zlib.crc32(text.encode())).normal(size=8) for text in texts]
    vectors = np.array(rows, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def appraiser(tiny_model: Path) -> Appraiser:
    model = load_model(tiny_model)
    model.train(False)
    return Appraiser(model, load_tokenizer(tiny_model), encode)


@pytest.fixture(autouse=True)
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialogue.appraisal.choose_precision", lambda _: "fp32")


def test_likelihoods_are_those_of_the_transcript(tiny_model: Path, appraiser: Appraiser) -> None:
    """Against transformers' own logits of "A: …\\nB: …\\nA: …\\n"."""
    model, tokenizer = load_model(tiny_model), load_tokenizer(tiny_model)

    def total(before: str, text: str) -> tuple[float, int]:
        start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        prefix = start + tokenizer.encode(before, add_special_tokens=False)
        said = tokenizer.encode(text, add_special_tokens=False)
        with torch.no_grad():
            logits = model(torch.tensor([[*prefix, *said]])).logits[0].log_softmax(-1)
        places = range(len(prefix) - 1, len(prefix) + len(said) - 1)
        return sum(float(logits[p, t]) for p, t in zip(places, said, strict=True)), len(said)

    found = appraiser.appraise(EXCHANGES)
    after, count = total("A: hello there\nB: hello, how are you?\nA:", " I am fine.\n")
    alone, _ = total("A:", " I am fine.\n")
    assert found["likelihood"][0] == pytest.approx(after / count, abs=1e-4)
    wanted = (after - alone) / count**0.5
    assert found["mutual_information"][0] == pytest.approx(wanted, abs=1e-3)
    assert found["mutual_information"][1] == pytest.approx(0.0, abs=1e-5), "nothing before it"


def test_each_exchange_is_appraised_by_itself(appraiser: Appraiser) -> None:
    together = appraiser.appraise(EXCHANGES)
    for index, each in enumerate(EXCHANGES):
        alone = appraiser.appraise([each])
        for name, values in together.items():
            assert alone[name][0] == pytest.approx(values[index], abs=1e-4), name


def test_an_opening_is_near_nothing(appraiser: Appraiser) -> None:
    found = appraiser.appraise(EXCHANGES)
    assert found["turn_similarity"][1] == found["history_similarity"][1] == 0.0
    vectors = encode(["hello, how are you?", "I am fine."]).astype(float)
    assert found["turn_similarity"][0] == pytest.approx(vectors[0] @ vectors[1], abs=1e-6)


def test_what_is_copied_by_hand() -> None:
    """Four of six words stand in one turn in that order."""
    before = ("I like tea with milk", "so do I")
    assert copied(Exchange(before, "You like tea with milk too")) == pytest.approx(4 / 6)
    assert copied(Exchange(before, "I LIKE tea, with milk!")) == 1.0
    assert copied(Exchange(before, "so do I")) == 0.0, "three words prove nothing"
    assert copied(Exchange((), "You like tea with milk too")) == 0.0


def test_the_composite_is_in_spreads_of_real_responses() -> None:
    means = {name: np.array([s.mean, s.mean + s.spread]) for name, s in STANDARDS.items()}
    assert composite(means | {COPIED: np.zeros(2)}) == pytest.approx([0.0, 1.0])
    assert composite(means | {COPIED: np.array([0.5, 1.0])}) == pytest.approx([0.0, -3.0])
    far = {name: np.array([s.mean + 99 * s.spread]) for name, s in STANDARDS.items()}
    assert composite(far | {COPIED: np.zeros(1)}) == pytest.approx([3.0])
