"""Plain text as training blocks, and how well a model predicts text it never saw."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.encoding import Encoded, Encoder
from dialogue.metrics.likelihood import Tree, log_likelihoods
from dialogue.model import Precision
from dialogue.shards import Shard, pack

_PAGE_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Document:
    """A piece of unlabelled text, named by its content."""

    id: str
    text: str


def split_documents(
    texts: Iterable[str], held_out_share: float
) -> tuple[list[Document], list[Document]]:
    """Training and held-out documents, by a hash of the text; equal texts count once.

    Long texts, such as books, are first cut at blank lines into documents of a page or so.

    Both come back in the order of their hashes, so that a prefix of either is a uniform sample.
    Of few documents one is held out, whatever their hashes, where any share of them is to be.
    """
    pages = (page for text in texts for page in _pages(text))
    known = {hashlib.sha256(page.encode()).hexdigest(): page for page in pages}
    # The order is the first half of the digest, the side the second: they are independent.
    positions = {digest: int(digest[32:48], 16) / 2**64 for digest in sorted(known)}
    is_held_out = {digest: position < held_out_share for digest, position in positions.items()}
    if held_out_share > 0 and known:
        is_held_out[min(positions, key=positions.__getitem__)] = True
    documents = {digest: Document(digest[:16], known[digest]) for digest in positions}
    return (
        [document for digest, document in documents.items() if not is_held_out[digest]],
        [document for digest, document in documents.items() if is_held_out[digest]],
    )


def text_blocks(
    documents: list[Document],
    tokenizer: PreTrainedTokenizerFast,
    block_tokens: int,
    max_tokens: int | None,
) -> Shard:
    """Documents one after the other, the end-of-turn token between them, cut into blocks.

    Every token is supervised: −Σ log P(w_t | w_<t), the autoregressive objective.
    """
    encoder = Encoder(tokenizer)
    separator = tokenizer.eos_token_id
    stream: list[int] = []
    for document in documents:
        stream += [*encoder.text(document.text), separator]
        if max_tokens is not None and len(stream) >= max_tokens:
            stream = stream[:max_tokens]
            break
    blocks = [stream[i : i + block_tokens] for i in range(0, len(stream), block_tokens)]
    rows = (
        (
            f"text-{number}",
            "base",
            Encoded(np.asarray(block, dtype=np.int64), np.ones(len(block), dtype=np.bool_)),
        )
        for number, block in enumerate(blocks)
        if len(block) > 1
    )
    return pack(rows, len(tokenizer))


def text_bits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    documents: list[Document],
    max_tokens: int,
    precision: Precision,
) -> list[tuple[float, int]]:
    """Bits and UTF-8 bytes of each document's text after its first token."""
    encoder = Encoder(tokenizer)
    sequences = [encoder.plain(document.text, max_tokens) for document in documents]
    trees = [Tree(sequence) for sequence in sequences]
    nats = (parts[0] for parts in log_likelihoods(model, trees, precision))
    return [
        (-float(each.sum()) / math.log(2), len(str(tokenizer.decode(sequence.ids[1:])).encode()))
        for each, sequence in zip(nats, sequences, strict=True)
    ]


def _pages(text: str) -> Iterator[str]:
    """Whole paragraphs, as many as fit on a page; one that is longer stays whole."""
    page: list[str] = []
    size = 0
    for paragraph in text.split("\n\n"):
        if page and size + len(paragraph) > _PAGE_CHARACTERS:
            yield "\n\n".join(page)
            page, size = [], 0
        page.append(paragraph)
        size += len(paragraph) + 2
    if any(part.strip() for part in page):
        yield "\n\n".join(page)
