from __future__ import annotations

import itertools

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from dialogue.tokenization import train_tokenizer
from dialogue.words import WordTokens, cut, splits_into_words


def tokenizer() -> Tokenizer:
    texts = [
        "hello there, how're you? I'm fine; it's 2 o'clock, isn't it?",
        "你好，世界",
        "naïve  x",
    ]
    trained: Tokenizer = train_tokenizer(texts * 3, 340).backend_tokenizer
    trained.encode_special_tokens = True
    return trained


def with_digits() -> Tokenizer:
    """As SmolLM2's own: digits stand alone before anything else is looked at."""
    changed = tokenizer()
    changed.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return changed


TOKENIZERS = {"plain": tokenizer(), "digits": with_digits()}

tricky = st.sampled_from(
    [
        *(
            "'",
            "'s",
            "'S",
            " '",
            " ",
            "  ",
            "\n",
            "\t",
            "\r",
            "\x0b",
            "\x1c",
            "\x00",
            "\x7f",
            "\x85",
        ),
        *(
            "\u00a0",
            "\u3000",
            "’",
            "_",
            "-",
            "a",
            "Z",
            "é",
            "ß",
            "你",
            "5",
            "٣",
            "²",
            "!",
            "¿",
            "🙂",
        ),
        *("<|im_end|>", "\u0301", "\u200d", "don't", "we'll've", "1st", "\ufffd", "\ue000"),
    ]
)
texts = st.one_of(
    st.lists(tricky, max_size=12).map("".join),
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.text(st.characters(codec="ascii"), max_size=40),
)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(st.lists(texts, max_size=6))
@settings(max_examples=400, deadline=None)
def test_the_pieces_tokens_are_the_whole_texts_tokens(name: str, listed: list[str]) -> None:
    chosen = TOKENIZERS[name]
    assert splits_into_words(chosen)
    pieces, counts = cut(pa.array(listed, pa.large_string()), inside=True)
    pieces.validate(full=True)
    parts = iter(pieces.to_pylist())
    for text, count in zip(listed, counts, strict=True):
        own = [next(parts) for _ in range(count)]
        assert "".join(own) == text
        encoded = [chosen.encode(part, add_special_tokens=False).ids for part in own]
        assert list(itertools.chain(*encoded)) == chosen.encode(text, add_special_tokens=False).ids
    assert next(parts, None) is None


def test_texts_are_cut_where_words_end() -> None:
    listed = ["Hello there, it's 5pm!", "", "a  b 你好 c"]
    pieces, counts = cut(pa.array(listed, pa.large_string()), inside=True)
    assert pieces.to_pylist() == [
        *("Hello", " there", ",", " it", "'s", " 5", "pm", "!"),
        *("a", "  b", " 你好 c"),
    ]
    assert counts.tolist() == [8, 0, 3]
    pieces, counts = cut(pa.array(listed, pa.large_string())[1:], inside=False)
    assert (pieces.to_pylist(), counts.tolist()) == (["a  b 你好 c"], [0, 1])


def test_other_tokenizers_are_given_whole_texts() -> None:
    lower, prefixed, added, own = (tokenizer() for _ in range(4))
    lower.normalizer = normalizers.Lowercase()
    prefixed.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    added.add_tokens(["how are"])
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    assert not any(map(splits_into_words, (lower, prefixed, added, own)))


def test_what_is_remembered_is_what_was_said() -> None:
    words = WordTokens(TOKENIZERS["plain"])
    long = "é" * 100
    first = words.of(["hello", long, " there"])
    assert words.of([" there", "hello", long, " you"])[:3] == [first[2], first[0], first[1]]
    assert words.of([]) == []
