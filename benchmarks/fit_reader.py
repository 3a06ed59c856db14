"""Train the reader of `perennial score`: what people say in chats, and what follows what.

The chats are those of chitchat-dataset (MIT), four fifths of them by hash; the others are left
for `benchmarks.metrics`. Low-rank adapters (Hu et al. 2021) learn two things at once: the tokens of
every turn, and after a response whether it is the next utterance or another one put in its place
(next utterance classification, Lowe et al. 2015; `_lessons.py` says which others). Of what they
learned the part of half their rank is kept, the best there is (Eckart and Young 1936).

    python -m benchmarks.fit_reader           # a GPU: minutes; two cores: some four hours
    python -m benchmarks.fit_reader --quick   # fewer chats, and writes nothing
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from benchmarks._agreement import auc
from benchmarks._chats import chats
from benchmarks._contexts import KINDS, contexts, held_out, told_apart
from benchmarks._lessons import Lessons, responses
from benchmarks.form import Row, quick_wanted, report
from dialogue.appraisal import LEARNED, READER, load_encode, teach
from dialogue.appraisal.exchange import tidy
from dialogue.appraisal.reading import Reader
from dialogue.appraisal.transcript import Transcriber
from dialogue.freezing import add_adapters
from dialogue.initialization import initial_model
from dialogue.metrics.likelihood import Layout, lay_out, read_rows
from dialogue.model import autocast, choose_device, choose_precision
from dialogue.packing import length_batches
from dialogue.progress import Progress

_TURNS = 4
_RANK, _KEPT, _SCALE = 16, 8, 2
_RATE, _WARMUP, _DECAY, _CLIP = 1e-3, 0.05, 0.01, 1.0
_TOKENS, _AT_ONCE = 16_384, 4_096
"""Of a step, and of what is read together; padding counts."""
_QUICK_CHATS, _CONTEXTS = 4, 100


def main() -> int:
    """Train, say how well the reader tells responses apart that it has not seen, and write it."""
    quick = quick_wanted(__doc__ or "")
    turns = [[tidy(turn.text) for turn in dialogue.turns] for dialogue in chats()]
    turns = [own for own in turns if len(own) >= _TURNS and not held_out(own)]
    turns.sort(key=told_apart)
    turns = turns[: _QUICK_CHATS if quick else None]
    model, tokenizer = initial_model(READER, (), seed=0)
    model.to(choose_device())  # type: ignore[arg-type]  # the wrapper's types hide it
    before = _apart(model, tokenizer, 3 if quick else _CONTEXTS)
    lessons = Lessons(turns, load_encode()(responses(turns)), Transcriber(tokenizer), seed=0)
    layouts = [lay_out(tree) for tree in lessons]
    model.requires_grad_(True)
    add_adapters(model, _RANK, _SCALE * _RANK, seed=0)
    _train(model, layouts)
    kept = truncated(model, _KEPT)
    model, _ = initial_model(READER, (), seed=0)
    teach(model, kept)
    model.to(choose_device())  # type: ignore[arg-type]  # the wrapper's types hide it
    after = _apart(model, tokenizer, 3 if quick else _CONTEXTS)
    if not quick:
        save_file(kept, LEARNED)
    rows = [
        Row(f"real before {kind}, unseen chats", f"{new:.3f}", f"{old:.3f}", "")
        for kind, new, old in zip(KINDS, after, before, strict=True)
    ]
    figures = {"num_lessons": float(len(layouts)), "auc_other": after[0], "auc_same": after[1]}
    rows.insert(0, Row("area under the curve", "trained", "as it comes", ""))
    return report("fit_reader", rows, figures, {}, quick=quick)


def _train(model: PreTrainedModel, layouts: Sequence[Layout]) -> None:
    """One pass over the lessons, in steps of like lengths; the rate falls as a cosine."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=_RATE, weight_decay=_DECAY)
    steps = list(length_batches([len(layout.ids) for layout in layouts], _TOKENS))
    plan = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _RATE, len(steps), pct_start=_WARMUP, cycle_momentum=False
    )
    bar = Progress("fit the reader", len(steps), "steps")
    for place in np.random.default_rng(0).permutation(len(steps)):
        chosen = [layouts[index] for index in steps[place]]
        said = sum(layout.sizes[0] for layout in chosen)
        answered = sum(len(layout.targets) for layout in chosen) - said
        optimizer.zero_grad()
        total = 0.0
        for part in length_batches([len(layout.ids) for layout in chosen], _AT_ONCE):
            with autocast(choose_precision("auto"), model.device):
                loss = _loss(model, [chosen[index] for index in part], said, answered)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs lack it
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(learning, _CLIP)
        optimizer.step()
        plan.step()
        bar.advance(1, f"loss {total:.3f}")
    bar.finish()


def _loss(model: PreTrainedModel, layouts: Sequence[Layout], said: int, answered: int) -> Tensor:
    """A part of a step's loss: nats over tokens of what is said, and nats over answers, added.

    A lesson's trunk is what is said, and each of its branches ends in an answer.
    """
    hidden = read_rows(model, layouts)
    columns = [layout.columns + row * hidden.shape[1] for row, layout in enumerate(layouts)]
    shares = [
        np.where(np.arange(len(layout.targets)) < layout.sizes[0], 1 / said, 1 / max(1, answered))
        for layout in layouts
    ]
    places, targets, weights = (
        torch.from_numpy(np.concatenate(parts)).to(hidden.device)
        for parts in (columns, [layout.targets for layout in layouts], shares)
    )
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    assert head is not None
    logits = head(hidden.flatten(0, 1)[places]).float()
    nats = functional.cross_entropy(logits, targets, reduction="none")
    return (nats * weights).sum()


@torch.no_grad()
def truncated(model: PreTrainedModel, rank: int) -> dict[str, Tensor]:
    """A and B of every adapter as `dialogue.appraisal` reads them, of that rank.

    The singular value decomposition of B A follows from those of two small triangular matrices.
    """
    found = {}
    for name, parameter in model.named_parameters():
        if ".lora_A." not in name:
            continue
        second = model.get_parameter(name.replace(".lora_A.", ".lora_B."))
        left, upper = torch.linalg.qr(second.float())
        right, lower = torch.linalg.qr(parameter.float().T)
        u, s, v = torch.linalg.svd(_SCALE * upper @ lower.T)
        root = s[:rank].sqrt()
        module = name.partition(".lora_A.")[0]
        found[f"{module}.A"] = ((right @ v.T[:, :rank]) * root).T
        found[f"{module}.B"] = (left @ u[:, :rank]) * root
    return {name: value.half().cpu().contiguous() for name, value in found.items()}


def _apart(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, num: int) -> list[float]:
    """How often the real response is above each kind of other ones, on chats left for that."""
    drawn = contexts(num)["chitchat"]
    model.train(False)
    read = Reader(model, tokenizer).read([exchange for own in drawn for exchange in own])
    table = read.next_utterance.reshape(len(drawn), 1 + len(KINDS))
    return [auc(table[:, 0], other) for other in table[:, 1:].T]


if __name__ == "__main__":
    sys.exit(main())
