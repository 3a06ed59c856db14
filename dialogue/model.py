"""Model folders: ordinary Hugging Face ones, with a SHA-256 manifest and nothing pickled."""

from __future__ import annotations

import contextlib
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from dialogue.config import ScratchModel
from dialogue.manifest import MANIFEST, verify_manifest, write_manifest
from dialogue.tokenization import END_OF_TURN, with_chat_template
from dialogue.writing import named_where_it_fails

Precision = Literal["bf16", "fp32"]


def load_model(folder: Path, *, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A causal language model from a folder whose manifest holds, or any safetensors folder.

    No remote code is run and no pickle is read.

    Raises:
        ValueError: a file is missing or damaged, the folder holds no causal language model, or one
            whose logits are not its output layer's.
    """
    if (folder / MANIFEST).exists():
        verify_manifest(folder)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            attn_implementation="sdpa",
        )
    except OSError as error:
        raise ValueError(f"{folder}: no model can be read here: {_first_line(error)}") from error
    assert isinstance(model, PreTrainedModel)
    check_logits(model, folder)
    return model


def check_logits(model: PreTrainedModel, source: object) -> None:
    """Make sure that the logits are the output layer's, of the last hidden states.

    Losses and likelihoods take them so. Some architectures scale them afterwards (Granite, Cohere)
    or bound them (Gemma 2). A few tokens are read to see it, by Llamas none: theirs are. What
    learns is told by layers, too, which a few older architectures call otherwise (GPT-2, OPT).

    Raises:
        ValueError: they are not, or there are no `layers` below a `norm`.
    """
    if isinstance(model, LlamaForCausalLM):
        return
    missing = [part for part in ("layers", "norm") if not hasattr(model.base_model, part)]
    if missing:
        raise ValueError(
            f"{source}: {type(model).__name__} has no `{'` and no `'.join(missing)}`, by which is "
            "told what of a model learns; use a model that has, such as a Llama, Qwen or Mistral"
        )
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    ids = torch.arange(8, device=model.device)[None] % model.config.get_text_config().vocab_size
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits.float()
        states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        plain = head(states).float() if head is not None else torch.zeros_like(logits)
    if not torch.allclose(logits, plain, rtol=1e-5, atol=1e-5 * float(logits.abs().max())):
        raise ValueError(
            f"{source}: {type(model).__name__} changes its output layer's logits, and losses would "
            "be of others than replies are drawn from; use a model that does not, such as a Llama"
        )


def save_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, **facts: Any
) -> str:
    """Write model and tokenizer as an ordinary Hugging Face folder; returns its digest.

    The folder appears complete or not at all. `facts` stand in the manifest beside the digests.

    Raises:
        OSError: it cannot be written.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    end = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    model.config.use_cache = True
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=end, pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id
    )
    with named_where_it_fails(folder, partial):
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        digest = write_manifest(partial, **facts)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return digest


def scratch_model(
    settings: ScratchModel, tokenizer: PreTrainedTokenizerFast, seed: int
) -> LlamaForCausalLM:
    """A Llama-style model with random weights, embeddings tied."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.hidden_size,
            intermediate_size=settings.intermediate_size,
            num_hidden_layers=settings.num_layers,
            num_attention_heads=settings.num_heads,
            num_key_value_heads=settings.num_key_value_heads,
            max_position_embeddings=settings.max_position_embeddings,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.convert_tokens_to_ids(END_OF_TURN),
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def gguf_model(file: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Model and tokenizer from one GGUF file, de-quantized to fp32."""
    folder, name = file.parent, file.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name, trust_remote_code=False)
    quantized = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.float32, trust_remote_code=False
    )
    check_logits(quantized, file)
    # A model that came from GGUF refuses to be saved: its weights move into a plain one.
    values = quantized.config.to_dict()
    values.pop("quantization_config", None)
    config = AutoConfig.for_model(**values)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model.load_state_dict(quantized.state_dict())
    model.tie_weights()
    return model, with_chat_template(tokenizer)


def choose_precision(wanted: Literal["auto", "bf16", "fp32"]) -> Precision:
    """The arithmetic of matrix products: bf16 where this machine does it in hardware."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    cpu = torch.cpu
    fast = cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
    return "bf16" if fast else "fp32"


def choose_device() -> torch.device:
    """The CPU, or a GPU: the first one, or this process's of those that `torchrun` started."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """Matrix products in bf16 over fp32 weights, or nothing."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
