"""Meaning: cosine of sentence embeddings between what was generated and what was said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dialogue.metrics import Floats

Similarity = Callable[[Sequence[str], Sequence[str]], Floats]
"""Cosine of each reply with its reference, [N] in [-1, 1]; an empty reply has 0."""


Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Unit vectors of texts, [N, D]."""


def load_encoder(embedder: Path, max_tokens: int | None = None) -> Encode:
    """A sentence-transformers folder as a function; a text counts up to `max_tokens`.

    Raises:
        ValueError: the folder holds no such model.
    """
    # Imported here: it takes seconds, and a step without an embedder needs none of it.
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    if not embedder.is_dir():
        raise ValueError(f"{embedder}: no folder of a sentence encoder; check `embedder`")
    model = SentenceTransformer(str(embedder), local_files_only=True, trust_remote_code=False)
    if max_tokens is not None:
        model.max_seq_length = min(max_tokens, model.max_seq_length or max_tokens)

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    return encode


def load_similarity(embedder: Path) -> Similarity:
    """The measure that a sentence-transformers folder makes.

    Raises:
        ValueError: the folder holds no such model.
    """
    encode = load_encoder(embedder)

    def similarity(replies: Sequence[str], references: Sequence[str]) -> Floats:
        vectors = encode([*replies, *references]).astype(np.float64)
        ours, theirs = np.split(vectors, 2)
        cosines: Floats = (ours * theirs).sum(axis=1)
        return np.where([bool(reply.strip()) for reply in replies], cosines, 0.0)

    return similarity
