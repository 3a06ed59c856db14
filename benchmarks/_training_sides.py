"""One side of the training benchmark, in a process of its own: `python -m … SIDE FOLDER`.

Every side learns the same shard. A line on standard input starts a round, a JSON line answers it:
seconds, and the peak of resident memory so far. What is not training, such as building a trainer,
stands outside the seconds; compilation falls into the round that the benchmark does not count.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    DataCollatorForSeq2Seq,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from dialogue.config import Freeze, Training
from dialogue.freezing import freeze
from dialogue.log import SilentLog
from dialogue.model import autocast, choose_precision
from dialogue.packing import Batch, collate, plan_steps
from dialogue.shards import Shard, open_shard
from dialogue.tokenization import load_tokenizer
from dialogue.training import train

Round = Callable[[], object]
TOKENS = 4_096
_SMALL: dict[str, Any] = {
    "hidden_size": 320,
    "intermediate_size": 864,
    "num_hidden_layers": 8,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
    "vocab_size": 8_192,
}
_SMOLLM2: dict[str, Any] = {
    "hidden_size": 576,
    "intermediate_size": 1_536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49_152,
}
_SMOLLM2_TOKENS = 2_048


def small(attention: str = "sdpa", sizes: dict[str, Any] = _SMALL) -> LlamaForCausalLM:
    """The same weights for every side."""
    torch.manual_seed(0)
    config = LlamaConfig(max_position_embeddings=1_024, tie_word_embeddings=True, **sizes)
    config._attn_implementation = attention
    return LlamaForCausalLM(config)


def this(
    shard: Shard,
    *,
    frozen: int = 0,
    epochs: float = 1.0,
    sizes: dict[str, Any] = _SMALL,
    tokens: int = TOKENS,
    **changes: Any,
) -> Round:
    """`dialogue.training.train`, as a stage calls it."""
    model = small(sizes=sizes)
    top = sizes["num_hidden_layers"] - frozen
    freeze(model, Freeze(top_layers=top, embeddings=frozen > 0, norms=False))
    settings = Training(
        epochs=epochs,
        learning_rate=1e-4,
        warmup_share=0.1,
        weight_decay=0.01,
        gradient_clip=1.0,
        tokens_per_step=tokens,
        tokens_per_batch=tokens,
        min_steps=1,
        checkpoint_seconds=1e9,
        precision="auto",
        seed=1,
        patience=0,
        **({"compile": "always", "frozen_cache": "never"} | changes),
    )
    folder = Path(os.environ["BENCHMARK_FOLDER"]) / "checkpoints"

    def go() -> None:
        train(model, shard, settings, SilentLog(), pad_id=0, checkpoints=folder, label="this")
        shutil.rmtree(folder, ignore_errors=True)

    return go


def loop(
    model: LlamaForCausalLM,
    shard: Shard,
    loss: Callable[[Batch], torch.Tensor],
    tokens: int = TOKENS,
) -> Round:
    """A plain good loop: like lengths together, fused AdamW, clipping; the loss is the peer's."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-4, fused=True)
    plan = plan_steps(
        shard.lengths, epochs=1.0, tokens_per_batch=tokens, tokens_per_step=tokens, seed=1
    )

    def go() -> None:
        for step in plan.steps:
            for part in step:
                found = loss(collate([shard[index] for index in part], 0))
                found.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return go


def transformers_compiled(shard: Shard, attention: str) -> Round:
    """Transformers' model with its own loss, compiled."""
    model = small(attention)
    compiled = torch.compile(model, dynamic=True)

    def loss(batch: Batch) -> torch.Tensor:
        labels = torch.full_like(batch.ids, -100)
        labels[batch.rows, batch.columns + 1] = batch.targets
        with autocast(choose_precision("auto"), model.device):
            found: torch.Tensor = compiled(input_ids=batch.ids, labels=labels, use_cache=False).loss
        return found

    return loop(model, shard, loss)


def plain_top(shard: Shard, frozen: int, epochs: int) -> Round:
    """SmolLM2's shape, frozen below, by transformers' layers: not compiled, nothing kept."""
    model = small(sizes=_SMOLLM2)
    top = _SMOLLM2["num_hidden_layers"] - frozen
    freeze(model, Freeze(top_layers=top, embeddings=True, norms=False))

    def loss(batch: Batch) -> torch.Tensor:
        with autocast(choose_precision("auto"), model.device):
            hidden = model.base_model(input_ids=batch.ids, use_cache=False).last_hidden_state
            logits = model.lm_head(hidden[batch.rows, batch.columns])
        return torch.nn.functional.cross_entropy(logits.float(), batch.targets)

    once = loop(model, shard, loss, _SMOLLM2_TOKENS)
    return lambda: [once() for _ in range(epochs)]


def trainer(shard: Shard, tokenizer: PreTrainedTokenizerFast, kind: str, **options: Any) -> Round:
    """Transformers' Trainer, or TRL's, over the same tokens and the same supervised positions."""
    attention = options.pop("attention", "sdpa")
    rows = [shard[index] for index in range(len(shard))]
    shared = {
        "output_dir": str(Path(os.environ["BENCHMARK_FOLDER"]) / kind),
        "report_to": [],
        "save_strategy": "no",
        "logging_strategy": "no",
        "num_train_epochs": 1,
        "disable_tqdm": True,
        "use_cpu": True,
        **options,
    }
    model = small(attention)
    if kind == "trl":
        # Installed for this side alone.
        from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]  # noqa: PLC0415

        masks = [np.asarray(row.mask, np.int64).tolist() for row in rows]
        data = {"input_ids": [row.ids.tolist() for row in rows], "completion_mask": masks}
        built: Any = SFTTrainer(
            model=model,
            # Of data that are tokens already, it learns every token unless it is told not to.
            args=SFTConfig(**shared, completion_only_loss=True),
            train_dataset=Dataset.from_dict(data),
            processing_class=tokenizer,
        )
        taught = [sum(label != -100 for label in row) for row in built.train_dataset["labels"]]
        assert taught == [sum(mask) for mask in masks], "TRL learns other tokens"
    else:
        labels = [np.where(row.mask, row.ids, -100).tolist() for row in rows]
        data = {"input_ids": [row.ids.tolist() for row in rows], "labels": labels}
        built = Trainer(
            model=model,
            args=TrainingArguments(**shared),
            train_dataset=Dataset.from_dict(data),
            data_collator=DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=16),
        )
    go: Round = built.train
    return go


TUNED = {
    "bf16": choose_precision("auto") == "bf16",
    "train_sampling_strategy": "group_by_length",
    "per_device_train_batch_size": 16,
    "gradient_checkpointing": False,
}


def sides(name: str, folder: Path) -> Round:
    """Build the side of that name; see `benchmarks.training` for what they are."""
    shard = open_shard(folder / name.split(":", maxsplit=1)[0])
    tokenizer = load_tokenizer(folder / "tokenizer")
    builders: dict[str, Callable[[], Round]] = {
        "this": lambda: this(shard),
        "this, eager": lambda: this(shard, compile="never"),
        "frozen, kept": lambda: this(shard, frozen=6, epochs=3.0, frozen_cache="always"),
        "frozen, computed": lambda: this(shard, frozen=6, epochs=3.0),
        "unfrozen": lambda: this(shard, epochs=3.0),
        "compiled, eager attention": lambda: transformers_compiled(shard, "eager"),
        "compiled, sdpa": lambda: transformers_compiled(shard, "sdpa"),
        "trainer": lambda: trainer(shard, tokenizer, "trainer"),
        "trainer, tuned": lambda: trainer(shard, tokenizer, "trainer", **TUNED),
        # In the type that is chosen here: as it comes it would compute in bf16 wherever it is slow.
        "trl": lambda: trainer(shard, tokenizer, "trl", bf16=TUNED["bf16"]),
        "trl, tuned": lambda: trainer(shard, tokenizer, "trl", **TUNED),
        "trl, compiled": lambda: trainer(
            shard,
            tokenizer,
            "trl",
            **TUNED,
            torch_compile=True,
            attention="eager",
            pad_to_multiple_of=16,
        ),
        "smollm2": lambda: this(
            shard,
            frozen=22,
            epochs=3.0,
            sizes=_SMOLLM2,
            tokens=_SMOLLM2_TOKENS,
            frozen_cache="always",
        ),
        "smollm2, plain": lambda: plain_top(shard, frozen=22, epochs=3),
    }
    return builders[name.split(":")[1]]()


def main() -> None:
    """Answer rounds until standard input ends."""
    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr
    name, folder = sys.argv[1], Path(sys.argv[2])
    go = sides(name, folder)
    for _ in sys.stdin:
        began = time.perf_counter()
        go()
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
        print(json.dumps({"seconds": seconds, "peak_mib": peak}), file=answers, flush=True)


if __name__ == "__main__":
    main()
