"""Train the head that `perennial score` has for fit: what follows what in chats between people.

The chats are 700 of four fifths of chitchat-dataset (MIT), by hash; the other fifth is left for
`benchmarks.metrics`. Every other response of a batch is a wrong one (Henderson et al. 2017),
both ways. The sentence encoder stays as it is; half of its vectors is dropped out, without which
the head remembers the chats. Everything follows from one seed.

    python -m benchmarks.fit_head           # minutes; writes dialogue/appraisal/head.safetensors
    python -m benchmarks.fit_head --quick   # fewer chats, and writes nothing
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from benchmarks._chats import chats
from benchmarks._contexts import held_out, told_apart
from benchmarks.form import Row, quick_wanted, report
from dialogue.appraisal import load_encode
from dialogue.appraisal.exchange import tidy
from dialogue.appraisal.meaning import NUM_TURNS, WEIGHTS
from dialogue.metrics.embedding import Encode

_CHATS, _VALIDATION = 700, 50
_TURNS = 4
_SIZE = 128
_EPOCHS, _BATCH = 16, 256
_RATE, _DECAY, _DROPOUT = 2e-3, 0.1, 0.5
_SHORTEST = 2
"""Words of a response; shorter ones follow anything."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Vectors of turns [V, D], the last one zeros; places of contexts [N, C], responses [N]."""

    vectors: Tensor
    contexts: Tensor
    responses: Tensor


def main() -> int:
    """Train, say how well it tells responses apart on chats it has not seen, and write it."""
    quick = quick_wanted(__doc__ or "")
    turns = [[tidy(turn.text) for turn in dialogue.turns] for dialogue in chats()]
    turns = [own for own in turns if len(own) >= _TURNS and not held_out(own)]
    turns.sort(key=told_apart, reverse=True)
    chosen = turns[: 40 if quick else _CHATS]
    pairs, chat_of = _pairs(chosen, load_encode())
    validation = torch.from_numpy(chat_of >= len(chosen) - (10 if quick else _VALIDATION))
    torch.manual_seed(0)
    head = _Head(pairs.vectors.shape[1])
    _train(head, pairs, torch.where(~validation)[0])
    kept = torch.where(validation)[0]
    figures = {
        "num_pairs": float((~validation).sum()),
        "auc_head": _auc(head, pairs, kept),
        "auc_cosine": _auc(None, pairs, kept),
    }
    if not quick:
        weights = {name: value.detach().T.half() for name, value in head.projections().items()}
        save_file({name: weight.contiguous() for name, weight in weights.items()}, WEIGHTS)
    row = Row(
        "real before another's, unseen chats",
        f"head {figures['auc_head']:.3f}",
        f"cosine {figures['auc_cosine']:.3f}",
        "",
    )
    return report("fit_head", [row], figures, {}, quick=quick)


class _Head(nn.Module):
    """The trained form of `dialogue.appraisal.meaning.Head`; all begin as one random projection."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.latest, self.earlier, self.response = (
            nn.Linear(size, _SIZE, bias=False) for _ in range(3)
        )
        self._scale = nn.Parameter(torch.tensor(2.5))
        with torch.no_grad():
            self.response.weight.normal_(std=1.4 * size**-0.5)
            self.latest.weight.copy_(self.response.weight)
            self.earlier.weight.copy_(self.response.weight * 0.5)

    def projections(self) -> dict[str, Tensor]:
        """Their weights by name, [P, D] each."""
        layers = {"latest": self.latest, "earlier": self.earlier, "response": self.response}
        return {name: layer.weight for name, layer in layers.items()}

    def forward(self, contexts: Tensor, responses: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit vectors of contexts [N, C, D] and responses [N, D], and what to scale cosines by."""
        before = self.latest(contexts[:, 0]) + self.earlier(contexts[:, 1:].mean(1))
        return (
            functional.normalize(before, dim=-1),
            functional.normalize(self.response(responses), dim=-1),
            self._scale.exp(),
        )


def _train(head: _Head, pairs: Pairs, chosen: Tensor) -> None:
    optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=_DECAY)
    per_epoch = max(1, len(chosen) // _BATCH)
    plan = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, _EPOCHS * per_epoch)
    for _ in range(_EPOCHS):
        order = chosen[torch.randperm(len(chosen))]
        for batch in torch.split(order, _BATCH)[:per_epoch]:
            contexts = functional.dropout(pairs.vectors[pairs.contexts[batch]], _DROPOUT)
            responses = functional.dropout(pairs.vectors[pairs.responses[batch]], _DROPOUT)
            before, after, scale = head(contexts, responses)
            scores = scale * before @ after.T
            right = torch.arange(len(batch))
            loss = functional.cross_entropy(scores, right) + functional.cross_entropy(
                scores.T, right
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs lack it
            optimizer.step()
            plan.step()


@torch.no_grad()
def _auc(head: _Head | None, pairs: Pairs, chosen: Tensor) -> float:
    """How often the real response is before another one, of the first thousand pairs."""
    contexts = pairs.vectors[pairs.contexts[chosen[:1_000]]]
    responses = pairs.vectors[pairs.responses[chosen[:1_000]]]
    before, after = (contexts[:, 0], responses) if head is None else head(contexts, responses)[:2]
    scores = before @ after.T
    others = ~torch.eye(len(scores), dtype=torch.bool)
    return float((scores.diag()[:, None] > scores)[others].float().mean())


def _pairs(turns: list[list[str]], encode: Encode) -> tuple[Pairs, NDArray[np.int64]]:
    """Every response with the turns before it, and which chat each is of, [N]."""
    texts = sorted({text for own in turns for text in own}, key=lambda text: (len(text), text))
    places = {text: index for index, text in enumerate(texts)}
    # Half precision keeps what was learned the same where an encoder differs in its last bits.
    found = encode(texts).astype(np.float16).astype(np.float32)
    vectors = np.vstack([found, np.zeros((1, found.shape[1]), dtype=np.float32)])
    contexts, responses, chat_of = [], [], []
    for chat, own in enumerate(turns):
        rows = [places[text] for text in own]
        for number in range(1, len(own)):
            if len(own[number].split()) >= _SHORTEST:
                before = rows[max(0, number - NUM_TURNS) : number][::-1]
                contexts.append(before + [len(texts)] * (NUM_TURNS - len(before)))
                responses.append(rows[number])
                chat_of.append(chat)
    pairs = Pairs(torch.from_numpy(vectors), torch.tensor(contexts), torch.tensor(responses))
    return pairs, np.array(chat_of)


if __name__ == "__main__":
    sys.exit(main())
