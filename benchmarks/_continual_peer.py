"""Both sides of `benchmarks.continual`; runs where Avalanche is installed. See there."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import json
import sys
import types
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from dialogue.continual.ewc import Penalty, fisher_diagonal
from dialogue.continual.replay import sample
from dialogue.encoding import Encoded
from dialogue.head import OutputLayer, Teacher, taught_nats
from dialogue.packing import NO_TARGET
from dialogue.shards import Shard, concatenate, pack

_BLANKS = frozenset({"torchvision", "torch.utils.tensorboard", "gputil", "GPUtil", "pytorchcv"}) | {
    "wandb",
    "gdown",
    "qpsolvers",
    "torchmetrics",
}
_VOCABULARY, _LENGTH = 40, 6


class _Anything(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Blank


class _Blank(metaclass=_Anything):
    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Any:
        return _Blank()


class _BlankModule(types.ModuleType):
    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Blank


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the packages that Avalanche imports and the compared parts never call."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG002
        if name in _BLANKS or name.split(".", maxsplit=1)[0] in _BLANKS:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        return _BlankModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def main() -> None:
    """Print name → (ours, the peer's, their difference) as JSON."""
    sys.meta_path.insert(0, _Finder())
    torch.manual_seed(1)
    print(json.dumps({**_ewc(), "lwf": _lwf(), "der": _der(), "memory_parts": _memory()}))


def _peer(module: str) -> Any:
    """A module of Avalanche's, which is not installed where types are checked."""
    return importlib.import_module(module)


class _Classifier(nn.Module):
    """A language model as Avalanche sees one: which word follows."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(ids).logits[:, -1]
        return logits


class _Replies(torch.utils.data.Dataset[tuple[torch.Tensor, int, int]]):
    """History, the word that answers it, and a task label."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard

    def __len__(self) -> int:
        return len(self.shard)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        ids = torch.from_numpy(self.shard[index].ids)
        return ids[:-1], int(ids[-1]), 0


def _dialogues(domain: str, number: int, seed: int) -> Shard:
    """One-word replies to random histories."""
    generator = np.random.default_rng(seed)
    mask = np.arange(_LENGTH) == _LENGTH - 1
    rows = (
        (f"{domain}-{n}", domain, Encoded(generator.integers(0, _VOCABULARY, _LENGTH), mask))
        for n in range(number)
    )
    return pack(rows, _VOCABULARY)


def _model() -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=_VOCABULARY,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
        )
    )


def _ewc() -> dict[str, tuple[float, float, float]]:
    """Importances of one domain, of two with a decay of 0.7, and the penalty after a move."""
    ewc_plugin = _peer("avalanche.training.plugins.ewc").EWCPlugin

    model = _model()
    classifier = _Classifier(model)
    plugin = ewc_plugin(ewc_lambda=1.5, mode="online", decay_factor=0.7)
    ours: dict[str, torch.Tensor] = {}
    found: dict[str, tuple[float, float, float]] = {}
    for number, name in enumerate(("fisher", "online_fisher")):
        shard = _dialogues(name, 20, seed=number)
        fisher = fisher_diagonal(model, shard, 0, "fp32")
        ours = {n: f + 0.7 * ours[n] if ours else f for n, f in fisher.items()}
        peer = plugin.compute_importances(
            classifier,
            nn.CrossEntropyLoss(),
            torch.optim.SGD(classifier.parameters(), lr=0.1),
            _Replies(shard),
            torch.device("cpu"),
            1,
        )
        plugin.update_importances(peer, number)
        kept = {n.removeprefix("model."): v.data for n, v in plugin.importances[number].items()}
        kept = {n: v for n, v in kept.items() if n in ours}
        assert kept.keys() == ours.keys(), kept.keys() ^ ours.keys()
        found[name] = _compared(_flat(ours), _flat({n: kept[n] for n in ours}))
    anchors = {name: p.detach().clone() for name, p in model.named_parameters()}
    copy_params_dict = _peer("avalanche.training.utils").copy_params_dict

    plugin.saved_params[1] = copy_params_dict(classifier)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    strategy = SimpleNamespace(
        clock=SimpleNamespace(train_exp_counter=2), model=classifier, device="cpu", loss=0.0
    )
    plugin.before_backward(strategy)
    # Avalanche's λ stands where Kirkpatrick et al. have λ/2.
    penalty = Penalty(ours, anchors, strength=3.0).on_step(dict(model.named_parameters()))
    assert penalty is not None
    found["ewc_penalty"] = _compared(
        penalty.detach()[None], torch.as_tensor(strategy.loss).detach()[None]
    )
    return found


def _lwf() -> tuple[float, float, float]:
    """At a temperature of 2; Avalanche leaves the factor T² to its α."""
    lwf = _peer("avalanche.training.regularization").LearningWithoutForgetting

    student, teacher = torch.randn(30, _VOCABULARY), torch.randn(30, _VOCABULARY)
    peer = lwf(alpha=1, temperature=2)
    theirs = peer._distillation_loss(student, teacher, set(range(_VOCABULARY)))
    ours = _divergence(student, teacher, 2.0) / 4
    return _compared(ours[None], theirs[None])


def _der() -> tuple[float, float, float]:
    """The square of DER, as Avalanche takes it, is twice the hot limit on centred logits."""
    student, teacher = (torch.randn(30, _VOCABULARY).double() for _ in range(2))
    student, teacher = (each - each.mean(-1, keepdim=True) for each in (student, teacher))
    ours = 2 * _divergence(student, teacher, 50.0)
    return _compared(ours[None], nn.functional.mse_loss(student, teacher)[None])


def _divergence(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Of logits [S, V], a row's mean: the output layer is the identity."""
    said = Teacher(teacher, torch.ones(len(teacher)), temperature)
    layer = OutputLayer(torch.eye(student.shape[1], dtype=student.dtype))
    total, _ = taught_nats(student, layer, torch.full((len(student),), NO_TARGET), said)
    return total / len(student)


def _memory() -> tuple[float, float, float]:
    """Three domains, twelve places: how many dialogues of each are kept."""
    as_classification_dataset = _peer("avalanche.benchmarks.utils").as_classification_dataset
    balanced = _peer("avalanche.training.storage_policy").ExperienceBalancedBuffer

    shards = [_dialogues(name, 50, seed) for seed, name in enumerate(("chat", "help", "home"))]
    buffer = balanced(12)
    memory = None
    for shard in shards:
        data = torch.utils.data.TensorDataset(torch.arange(50), torch.zeros(50))
        data.targets = [0] * 50  # type: ignore[attr-defined]
        buffer.post_adapt(None, SimpleNamespace(dataset=as_classification_dataset(data)))
        both = shard if memory is None else concatenate([memory, shard])
        memory = sample(both, 12 * _LENGTH * shard.token_bytes)
    assert memory is not None
    theirs = sorted(len(group.buffer) for group in buffer.buffer_groups.values())
    ours = sorted(Counter(memory.domains).values())
    return float(ours[0]), float(theirs[0]), float(ours != theirs)


def _flat(values: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([value.flatten() for value in values.values()])


def _compared(ours: torch.Tensor, peer: torch.Tensor) -> tuple[float, float, float]:
    """Sums, and the norm of the difference relative to the peer's."""
    difference = float((ours - peer).norm() / peer.norm())
    return float(ours.sum()), float(peer.sum()), difference


if __name__ == "__main__":
    main()
