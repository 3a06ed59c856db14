"""Meaning: cosine of sentence embeddings between what was generated and what was said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dialogue.metrics import Floats

Similarity = Callable[[Sequence[str], Sequence[str]], Floats]
"""Cosine of each reply with its reference, [N] in [-1, 1]; an empty reply has 0."""


def load_similarity(embedder: Path) -> Similarity:
    """The measure that a sentence-transformers folder makes.

    Raises:
        ValueError: the folder holds no such model.
    """
    # Imported here: it takes seconds, and an exam without an embedder needs none of it.
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    if not embedder.is_dir():
        raise ValueError(f"{embedder}: no folder of a sentence encoder; check evaluate.embedder")
    model = SentenceTransformer(str(embedder), local_files_only=True, trust_remote_code=False)

    def similarity(replies: Sequence[str], references: Sequence[str]) -> Floats:
        vectors = model.encode(
            [*replies, *references], normalize_embeddings=True, show_progress_bar=False
        )
        ours, theirs = np.split(np.asarray(vectors, dtype=np.float64), 2)
        cosines: Floats = (ours * theirs).sum(axis=1)
        return np.where([bool(reply.strip()) for reply in replies], cosines, 0.0)

    return similarity
