"""A byte-level BPE of one's own, for models that start from nothing (Sennrich et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from dialogue.model import with_chat_template

_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    """Train on `texts`; every byte has a token, so that nothing is ever unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Chat markup must be cheap in dialogues, whatever the text was about.
    roles = (f"{role}\n" for role in ("system", "user", "assistant"))
    tokenizer.train_from_iterator((*roles, *texts), trainer=trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer)  # type: ignore[no-untyped-call]
    wrapped.bos_token, wrapped.pad_token = "<|im_start|>", "<|endoftext|>"
    return with_chat_template(wrapped)
