"""Learn one domain's dialogues, without forgetting the ones before it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from dialogue.config import Params
from dialogue.continual import Combination
from dialogue.continual.memory import memory_digest, read_memory, write_memory
from dialogue.continual.strategy import Round
from dialogue.distributed import is_first, joined
from dialogue.freezing import count, freeze, merge_adapters
from dialogue.log import Log
from dialogue.machine import describe_machine
from dialogue.manifest import verify_manifest
from dialogue.model import choose_device, load_model, save_model
from dialogue.shards import open_shard, shard_digest
from dialogue.tokenization import load_tokenizer
from dialogue.training import train, write_curve
from tasks._step import run


@joined()
def finetune(
    params: Params,
    log: Log,
    *,
    domain: str,
    encoded: Path,
    parent: Path,
    parent_memory: Path,
    model: Path,
    memory: Path,
    report: Path,
    curve: Path,
    checkpoints: Path,
) -> None:
    """Fine-tune the parent model on the domain's responses, with rehearsal of earlier domains."""
    settings, parent_digest = params.finetune, verify_manifest(parent)
    new, earlier = open_shard(encoded / "train"), read_memory(parent_memory)
    log.dataset(f"{domain}/train", shard_digest(encoded / "train"), encoded / "train", "train")
    log.dataset("memory", memory_digest(parent_memory), parent_memory, "rehearsal")
    learner, tokenizer = load_model(parent), load_tokenizer(parent)
    freeze(learner, settings.freeze, settings.training.seed)
    lesson = Round(domain, new, earlier, learner, tokenizer, settings)
    strategy = Combination(lesson)
    examples = strategy.prepare()
    frozen = count(learner)
    trained = train(
        learner,
        examples,
        settings.training,
        log,
        pad_id=lesson.pad_id,
        checkpoints=checkpoints,
        label=f"finetune {domain}",
        held_out=open_shard(encoded / "validation") if settings.training.patience else None,
        rehearsed=len(examples) - len(new),
        regularizer=strategy.regularizer(examples),
        besides=f"{settings.model_dump_json(exclude={'training'})} {memory_digest(parent_memory)}",
    )
    if not is_first():
        return
    strategy.merge()
    remembered = strategy.remember()
    merge_adapters(learner)
    digest = save_model(learner, tokenizer, model, domain=domain, parent_digest=parent_digest)
    write_memory(memory, remembered)
    write_curve(curve, trained)
    figures = {
        "first_loss": trained.curve[0]["loss"],
        "last_loss": trained.curve[-1]["loss"],
        "num_steps": len(trained.curve),
        "num_dialogues": len(new),
        "num_rehearsed": len(examples) - len(new),
        "num_tokens": trained.num_tokens,
        "num_supervised_tokens": trained.num_supervised,
        "trainable_share": frozen.trainable_share,
        "memory_dialogues": len(remembered.dialogues),
        "memory_bytes": remembered.num_bytes,
    }
    log.metrics(figures | {"seconds": trained.seconds})
    machine = describe_machine(choose_device())
    log.tags({"model_digest": digest, "machine": machine})
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(figures | {"machine": machine}, indent=2) + "\n")
    # Not before all is written and told: without them what failed last would be trained anew.
    shutil.rmtree(checkpoints, ignore_errors=True)


if __name__ == "__main__":
    run(finetune)
