"""How well a response fits in meaning: by cosine, and by what a small head learned of chats.

Every turn is encoded by itself, once. The head projects the response and the three turns before
it into one space, where what follows one another in chats between people is near (a dual encoder
on frozen vectors, after Henderson et al. 2020, ConveRT). `benchmarks/fit_head.py` trains it.

Shapes: N exchanges, C turns that count, D size of the encoder's vectors, P of the head's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from dialogue.appraisal.exchange import Exchange, tidy
from dialogue.metrics import Floats
from dialogue.metrics.embedding import Encode

NUM_TURNS = 3
"""The latest turns, which the head looks at."""
WEIGHTS = Path(__file__).with_name("head.safetensors")


@dataclass(frozen=True, slots=True)
class Head:
    """Projections of the turn before [D, P], of the mean of those before it, and of the response.

    A turn that does not exist is a vector of zeros.
    """

    latest: Floats
    earlier: Floats
    response: Floats

    def fit(self, context: Floats, response: Floats) -> Floats:
        """Cosine of context [N, C, D], the latest turn first, with response [N, D]: [N]."""
        projected = context[:, 0] @ self.latest + context[:, 1:].mean(axis=1) @ self.earlier
        return _cosine(projected, response @ self.response)


def load_head(file: Path = WEIGHTS) -> Head:
    """The head that comes with the project.

    Raises:
        ValueError: the file is missing or holds something else.
    """
    try:
        found = load_file(file)
        return Head(*(found[name].astype(np.float64) for name in ("latest", "earlier", "response")))
    except (OSError, KeyError, SafetensorError) as error:
        raise ValueError(f"{file}: not the weights of the head; restore it with git") from error


def similarities(
    exchanges: Sequence[Exchange], encode: Encode, head: Head
) -> tuple[Floats, Floats]:
    """Cosine with the turn before, and the head's fit, [N] each; 0 where there is nothing before.

    What has no text is near nothing.
    """
    turns = [
        [tidy(each.response), *(tidy(text) for text in reversed(each.context[-NUM_TURNS:]))]
        for each in exchanges
    ]
    texts = sorted({text for own in turns for text in own if text}, key=lambda t: (len(t), t))
    places = {text: index for index, text in enumerate(texts)}
    vectors = encode(texts).astype(np.float64) if texts else np.zeros((0, head.latest.shape[0]))
    vectors = np.vstack([vectors, np.zeros(vectors.shape[1])])
    none = len(texts)
    rows: NDArray[np.intp] = np.array(
        [
            [places.get(text, none) for text in (own + [""] * NUM_TURNS)[: NUM_TURNS + 1]]
            for own in turns
        ]
    )
    response, context = vectors[rows[:, 0]], vectors[rows[:, 1:]]
    return _cosine(context[:, 0], response), head.fit(context, response)


def _cosine(one: Floats, other: Floats) -> Floats:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: Floats = (one * other).sum(axis=1) / np.maximum(norms, 1e-9)
    return found
