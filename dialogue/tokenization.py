"""Tokenizers with ChatML: read back, given to a base model, or trained (Sennrich et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

END_OF_TURN = "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML. No system turn is made up: what the model reads is what the dialogue says."""

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


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a model folder, from tokenizer.json.

    Raises:
        ValueError: there is none, or it lacks the chat template or its end-of-turn token.
    """
    if not (folder / "tokenizer.json").is_file():
        raise ValueError(f"{folder / 'tokenizer.json'}: no such file")
    try:
        found = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder}: no tokenizer can be read here: {_first_line(error)}") from None
    tokenizer: PreTrainedTokenizerFast = found
    if tokenizer.chat_template is None:
        raise ValueError(f"{folder}: needs a tokenizer.json with a chat template")
    return tokenizer


def with_chat_template(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast:
    """The tokenizer with the project's chat template and its end-of-turn token as end.

    Raises:
        ValueError: it is not of the tokenizer.json kind, or knows no ChatML.
    """
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ValueError("the base model's tokenizer has no tokenizer.json; use a model with one")
    known = tokenizer.get_vocab()
    missing = [token for token in ("<|im_start|>", END_OF_TURN) if token not in known]
    if missing:
        raise ValueError(
            f"the base model's tokenizer lacks {', '.join(missing)}; use a ChatML model or scratch"
        )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.eos_token = END_OF_TURN
    if tokenizer.pad_token is None:
        tokenizer.pad_token = END_OF_TURN
    return tokenizer


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
