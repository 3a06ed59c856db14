"""Replies end where they should, and no character is ever cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from dialogue.decoding import Sampling, greedy
from dialogue.encoding import Encoder
from dialogue.generation import Reply, generate, special_ids
from dialogue.model import load_model
from dialogue.records import Turn
from dialogue.tokenization import load_tokenizer

TEXT = "Hé 🙂!"
HISTORY = (Turn("user", "hello"),)
WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


def test_a_reply_ends_at_its_end_of_turn(scripted_model: Callable[..., Path]) -> None:
    folder = scripted_model(TEXT)
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    (reply,) = generate(model, tokenizer, [HISTORY], greedy(50), batch_size=4)
    assert (reply.text, reply.finish_reason) == (TEXT, "stop")
    assert reply.num_tokens == len(Encoder(tokenizer).response(TEXT))
    assert reply.num_prompt_tokens == len(Encoder(tokenizer).prompt(HISTORY, 100))


def test_a_reply_that_reaches_its_length_is_cut_between_characters(
    scripted_model: Callable[..., Path],
) -> None:
    folder = scripted_model(TEXT)
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    for length, text in enumerate(("H", "H", "Hé", "Hé ", "Hé ", "Hé ", "Hé ", "Hé 🙂", TEXT), 1):
        (reply,) = generate(model, tokenizer, [HISTORY], greedy(length), batch_size=1)
        assert (reply.text, reply.finish_reason) == (text, "length")
        assert reply.num_tokens == length


def test_pieces_are_whole_characters(tokenizer: PreTrainedTokenizerFast) -> None:
    reply = Reply(tokenizer, max_new_tokens=50)
    pieces = [reply.push(token) for token in Encoder(tokenizer).response(TEXT)]
    assert [piece for piece in pieces if piece] == list(TEXT)


def test_order_and_batches_do_not_matter(tiny_model: Path) -> None:
    model, tokenizer = load_model(tiny_model), load_tokenizer(tiny_model)
    histories = [(Turn("user", "a" * length),) for length in (3, 40, 1, 20, 7)]
    for sampling in (greedy(15), Sampling(15, 0.9, 0.9, 1.1, seed=3)):
        alone = generate(model, tokenizer, histories, sampling, batch_size=1)
        assert generate(model, tokenizer, histories, sampling, batch_size=3) == alone


def test_a_long_history_loses_its_beginning(scripted_model: Callable[..., Path]) -> None:
    folder = scripted_model(TEXT, positions=128)
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    (reply,) = generate(model, tokenizer, [HISTORY * 60], greedy(20), batch_size=1)
    assert reply.text == TEXT
    assert reply.num_prompt_tokens <= 108


def test_a_reply_must_leave_room_for_the_history(tiny_model: Path) -> None:
    model, tokenizer = load_model(tiny_model), load_tokenizer(tiny_model)
    with pytest.raises(ValueError, match=r"max_new_tokens is 300, .* 512 positions .* at most 256"):
        generate(model, tokenizer, [HISTORY], greedy(300), batch_size=1)


def test_no_histories_no_replies(tiny_model: Path) -> None:
    model, tokenizer = load_model(tiny_model), load_tokenizer(tiny_model)
    assert generate(model, tokenizer, [], greedy(5), batch_size=4) == []


@given(text=WORDS)
@settings(max_examples=200, deadline=None)
def test_pieces_add_up_to_the_text(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = Encoder(tokenizer).response(text)
    reply = Reply(tokenizer, max_new_tokens=len(ids))
    pieces = [reply.push(token) for token in ids]
    # At its end, a replacement character cannot be told from half of another one.
    assert "".join(pieces) == reply.text == text.rstrip("\ufffd")
    assert reply.finish_reason == "stop"


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_tokens_make_valid_pieces(
    tokenizer: PreTrainedTokenizerFast, data: st.DataObject
) -> None:
    special = special_ids(tokenizer)
    plain = [index for index in range(len(tokenizer)) if index not in special]
    ids = data.draw(st.lists(st.sampled_from(plain), min_size=1, max_size=30))
    reply = Reply(tokenizer, max_new_tokens=len(ids) + 1)
    pieces = [reply.push(token) for token in ids]
    pieces.append(reply.close())
    whole = str(tokenizer.decode(ids))
    assert "".join(pieces) == reply.text
    assert whole.rstrip("\ufffd") == reply.text.rstrip("\ufffd")
    assert all(not piece.endswith("\ufffd") for piece in pieces)


@given(text=WORDS, stop=st.lists(st.text("ab 🙂", min_size=1, max_size=3), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_a_reply_ends_before_a_stop_string(
    tokenizer: PreTrainedTokenizerFast, text: str, stop: list[str]
) -> None:
    text = text.rstrip("\ufffd")
    ids = Encoder(tokenizer).response(text)
    reply = Reply(tokenizer, len(ids), stop)
    pieces = []
    for token in ids:
        pieces.append(reply.push(token))
        if reply.finish_reason is not None:
            break
    said = "".join(pieces)
    assert not any(end in said for end in stop)
    assert said == text or any(text.startswith(said + end) for end in stop)
    if len(stop) == 1:
        assert said == text.split(stop[0])[0]
    assert reply.finish_reason == "stop"


def test_what_may_begin_a_stop_string_is_held_back(tokenizer: PreTrainedTokenizerFast) -> None:
    reply = Reply(tokenizer, 50, ["xyz"])
    said = [reply.push(token) for token in Encoder(tokenizer).text("1xy2xyz")]
    assert said == ["1", "", "", "xy2", "", "", ""]
    assert reply.finish_reason == "stop"
