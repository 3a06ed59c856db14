"""The response-only objective against the model's own loss, which scores every position.

Both train the same Llama-style model on the same padded batches of real chats (chitchat-dataset).
The peer is transformers' `model(input_ids, attention_mask, labels)` with the prompt's labels
masked. Then the output layer alone, of SmolLM2's shape, taught by a teacher beside the targets,
against torch's own functions and its differentiation on whole logits. The losses must agree.
"""

from __future__ import annotations

import resource
import statistics
import sys
from itertools import islice

import torch
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from benchmarks._chats import chats
from benchmarks.form import Bound, Row, alternate, paired_ratio, quick_wanted, report
from dialogue.config import ScratchModel
from dialogue.encoding import Encoded, Encoder
from dialogue.forward import choose_forward
from dialogue.head import OutputLayer, Teacher, taught_nats
from dialogue.model import autocast, choose_device, choose_precision, scratch_model
from dialogue.objective import summed_loss
from dialogue.packing import NO_TARGET, collate, length_batches
from dialogue.records import Dialogue
from dialogue.tokenization import train_tokenizer

BOUNDS: dict[str, Bound] = {
    "response_objective_vs_full_logits": ("min", 1.05),
    "distillation_vs_full_logits": ("min", 1.3),
}
_MODEL = ScratchModel(
    kind="scratch",
    vocabulary_size=8192,
    hidden_size=320,
    intermediate_size=864,
    num_layers=6,
    num_heads=5,
    num_key_value_heads=5,
    max_position_embeddings=1024,
)


def main() -> int:
    """Run both sides in turn."""
    quick = quick_wanted(__doc__ or "")
    dialogues = _dialogues(40 if quick else 240)
    texts = (turn.text for dialogue in dialogues for turn in dialogue.turns)
    tokenizer = train_tokenizer(texts, _MODEL.vocabulary_size)
    sequences = list(Encoder(tokenizer).dialogues(dialogues, 384))
    batches = [
        [sequences[i] for i in batch]
        for batch in length_batches([len(s.ids) for s in sequences], 4096)
    ]
    model = scratch_model(_MODEL, tokenizer, seed=1).to(choose_device())  # type: ignore[arg-type]
    losses: dict[str, float] = {}

    def ours() -> None:
        losses["ours"] = sum(_ours(model, tokenizer, batch) for batch in batches) / len(batches)

    def peer() -> None:
        losses["peer"] = sum(_peer(model, tokenizer, batch) for batch in batches) / len(batches)

    seconds = alternate({"ours": ours, "peer": peer}, rounds=1 if quick else 5)
    ratio = paired_ratio(seconds["peer"], seconds["ours"])
    supervised = sum(int(sequence.mask[1:].sum()) for sequence in sequences)
    speed = {name: supervised / statistics.median(times) for name, times in seconds.items()}
    difference = abs(losses["ours"] - losses["peer"]) / losses["peer"]
    assert difference < 0.01, losses
    taught, taught_ratio = _distillation(quick=quick)
    rows = [
        Row(
            "supervised tokens/s, forward and backward",
            f"{speed['ours']:,.0f}",
            f"{speed['peer']:,.0f}",
            f"{ratio:.2f}×",
        ),
        Row("mean loss", f"{losses['ours']:.4f}", f"{losses['peer']:.4f}", ""),
        Row(
            "taught rows/s, output layer of SmolLM2's shape",
            f"{taught['ours']:,.0f}",
            f"{taught['peer']:,.0f}",
            f"{taught_ratio:.2f}×",
        ),
    ]
    figures = {
        "response_objective_vs_full_logits": ratio,
        "distillation_vs_full_logits": taught_ratio,
        "supervised_share": supervised / sum(len(sequence.ids) for sequence in sequences),
        "relative_loss_difference": difference,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    return report("objective", rows, figures, BOUNDS, quick=quick)


def _distillation(*, quick: bool) -> tuple[dict[str, float], float]:
    """Rows a second of both sides, forward and backward, and their ratio."""
    num, hidden, vocabulary = (64, 64, 2_000) if quick else (512, 576, 49_152)
    dtype = torch.bfloat16 if choose_precision("auto") == "bf16" else torch.float32
    generator = torch.Generator().manual_seed(17)
    weight = 0.04 * torch.randn(vocabulary, hidden, generator=generator)
    states = torch.randn(num, hidden, generator=generator)
    theirs = (states + 0.1 * torch.randn(num, hidden, generator=generator)).to(dtype)
    shares = 16.0 * torch.rand(num, generator=generator)
    targets = torch.randint(vocabulary, (num,), generator=generator)
    targets[::2] = NO_TARGET
    layer, teacher = OutputLayer(weight), Teacher(theirs, shares, temperature=1.0)
    losses: dict[str, float] = {}

    def ours() -> None:
        given = states.clone().requires_grad_()
        total, _ = taught_nats(given.to(dtype), layer, targets, teacher)
        total.backward()  # type: ignore[no-untyped-call]
        losses["ours"] = float(total.detach())

    def peer() -> None:
        given, cast = states.clone().requires_grad_(), weight.to(dtype)
        logits = functional.linear(given.to(dtype), cast).float()
        wanted = functional.linear(theirs, cast).float().log_softmax(-1)
        found = logits.log_softmax(-1)
        each = functional.kl_div(found, wanted, reduction="none", log_target=True).sum(-1)
        total = functional.cross_entropy(logits, targets, reduction="sum") + (shares * each).sum()
        total.backward()  # type: ignore[no-untyped-call]
        losses["peer"] = float(total.detach())

    seconds = alternate({"ours": ours, "peer": peer}, rounds=2 if quick else 9)
    assert abs(losses["ours"] - losses["peer"]) < 1e-3 * losses["peer"], losses
    speed = {name: num / statistics.median(times) for name, times in seconds.items()}
    return speed, paired_ratio(seconds["peer"], seconds["ours"])


def _dialogues(number: int) -> list[Dialogue]:
    return list(islice(chats(), number))


def _ours(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, batch: list[Encoded]
) -> float:
    assert tokenizer.pad_token_id is not None
    collated = collate(batch, tokenizer.pad_token_id).to(model.device)
    forward = choose_forward(model, choose_precision("auto"), compiled=False)
    total, _ = summed_loss(forward, collated)
    return _backward(model, total / len(collated.targets))


def _peer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, batch: list[Encoded]
) -> float:
    assert tokenizer.pad_token_id is not None
    ids = collate(batch, tokenizer.pad_token_id).ids.to(model.device)
    labels = torch.full_like(ids, -100)
    attention = torch.zeros_like(ids)
    for row, sequence in enumerate(batch):
        length = len(sequence.ids)
        attention[row, :length] = 1
        learned = torch.from_numpy(sequence.mask)
        labels[row, :length][learned] = ids[row, :length][learned]
    with autocast(choose_precision("auto"), model.device):
        loss: torch.Tensor = model(input_ids=ids, attention_mask=attention, labels=labels).loss
    return _backward(model, loss)


def _backward(model: PreTrainedModel, loss: torch.Tensor) -> float:
    loss.backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)
    return float(loss.detach())


if __name__ == "__main__":
    sys.exit(main())
