"""Take the base model and go on (or begin) pretraining it on unlabelled text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from dialogue.config import Params
from dialogue.distributed import first_before_others, is_first, joined
from dialogue.freezing import freeze, merge_adapters
from dialogue.initialization import initial_model
from dialogue.log import Log
from dialogue.machine import describe_machine
from dialogue.manifest import verify_manifest, write_manifest
from dialogue.model import choose_device, choose_precision, save_model
from dialogue.pretraining import Document, split_documents, text_bits, text_blocks
from dialogue.records import Dialogue, Turn, write_dialogues
from dialogue.scores import Score, write_scores
from dialogue.shards import empty_shard, write_shard
from dialogue.texts import read_texts
from dialogue.training import train, write_curve
from tasks._exam_files import EXAM, ROWS
from tasks._step import run


@joined()
def pretrain(
    params: Params,
    log: Log,
    *,
    text: Path,
    model: Path,
    tokenizer: Path,
    memory: Path,
    scores: Path,
    report: Path,
    curve: Path,
    checkpoints: Path,
) -> None:
    """Train autoregressively on plain text, and measure what it did to text held out.

    The held-out text becomes the first exam: later rounds must not unlearn it.
    """
    settings = params.pretrain
    verify_manifest(text)
    texts = list(read_texts(text / "text.parquet"))
    training, held_out = split_documents((each.text for each in texts), settings.held_out_share)
    _check_parts(len(training), len(held_out))
    with first_before_others():
        learner, vocabulary = initial_model(
            settings.init, (document.text for document in training), settings.training.seed
        )
    frozen = freeze(learner, settings.freeze, settings.training.seed)
    blocks = text_blocks(training, vocabulary, settings.block_tokens, settings.max_tokens)
    precision = choose_precision(settings.training.precision)

    before = text_bits(learner, vocabulary, held_out, settings.block_tokens, precision)
    assert vocabulary.pad_token_id is not None
    trained = train(
        learner,
        blocks,
        settings.training,
        log,
        pad_id=vocabulary.pad_token_id,
        checkpoints=checkpoints,
        label="pretrain",
        besides=settings.freeze.model_dump_json(),
    )
    if not is_first():
        return
    merge_adapters(learner)
    after = text_bits(learner, vocabulary, held_out, settings.block_tokens, precision)

    digest = save_model(learner, vocabulary, model, domain="base", parent_digest=None)
    _save_tokenizer(vocabulary, tokenizer)
    write_shard(memory, empty_shard())
    licence = ", ".join(sorted({each.licence for each in texts}))
    _write_exam(scores, digest, held_out, after, licence)
    write_curve(curve, trained)
    figures = {
        "num_documents": len(training),
        "num_held_out": len(held_out),
        "num_tokens": trained.num_tokens,
        "trainable_share": frozen.trainable_share,
        "first_loss": trained.curve[0]["loss"],
        "last_loss": trained.curve[-1]["loss"],
        "bits_per_byte_before": _bits_per_byte(before),
        "bits_per_byte_after": _bits_per_byte(after),
    }
    log.metrics(figures | {"seconds": trained.seconds})
    machine = describe_machine(choose_device())
    log.tags({"model_digest": digest, "machine": machine})
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(figures | {"machine": machine}, indent=2) + "\n")
    # Not before all is written and told: without them what failed last would be trained anew.
    shutil.rmtree(checkpoints, ignore_errors=True)


def _check_parts(num_training: int, num_held_out: int) -> None:
    """Both must hold something: without an exam nothing guards what the base model can do."""
    for number, part, mend in (
        (num_held_out, "held out", "raise it, or gather more text"),
        (num_training, "left to learn from", "lower it, or gather more text"),
    ):
        if number == 0:
            raise ValueError(
                f"pretrain.held_out_share: of {num_training + num_held_out} pages of text none is "
                f"{part}; {mend}"
            )


def _save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """The tokenizer alone: encoding depends on it, and not on the weights."""
    tokenizer.save_pretrained(folder)
    write_manifest(folder)


def _write_exam(
    folder: Path,
    digest: str,
    documents: list[Document],
    bits: list[tuple[float, int]],
    licence: str,
) -> None:
    write_dialogues(
        folder / EXAM,
        (
            Dialogue(
                id=document.id,
                turns=(Turn("assistant", document.text),),
                domain="base",
                split="test",
                source="gather.sources",
                origin=document.id,
                licence=licence,
                raw_digest=document.id,
            )
            for document in documents
        ),
    )
    write_scores(
        folder / ROWS,
        (
            Score("candidate", digest, "base", "base", document.id, "bits_per_byte", value, weight)
            for document, (value, weight) in zip(documents, bits, strict=True)
            if weight > 0
        ),
    )


def _bits_per_byte(bits: list[tuple[float, int]]) -> float:
    return sum(value for value, _ in bits) / max(1, sum(weight for _, weight in bits))


if __name__ == "__main__":
    run(pretrain)
