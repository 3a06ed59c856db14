from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.metrics.embedding import load_similarity


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real sentence encoder, small: the mean of one random vector per word."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: i for i, word in enumerate(["?", "yes", "no", "cats", "dogs"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("embedder")
    module = StaticEmbedding(tokenizer, embedding_dim=32)
    SentenceTransformer(modules=[module], device="cpu").save(str(folder))
    return folder


def test_equal_texts_are_similar_and_nothing_is_like_nothing(embedder: Path) -> None:
    similarity = load_similarity(embedder)
    cosines = similarity(["yes cats", "yes cats", " "], ["cats yes", "no dogs", "yes"])
    assert cosines[0] == pytest.approx(1.0, abs=1e-5)
    assert cosines[1] < 0.9
    assert cosines[2] == 0.0


def test_a_missing_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere: no folder of a sentence encoder"):
        load_similarity(tmp_path / "nowhere")
