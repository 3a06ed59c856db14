"""What exams are drawn of: values that two models which learned the same and their base give.

Making them takes long; they are kept in a folder named by the settings and the code behind them.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._lifelong_stream import Sizes, Stream, kept_name, open_stream, plain_documents
from dialogue.config import load_params
from dialogue.exam import INSTRUCTIONS, PLAIN_TEXT
from dialogue.examination import answer_paper
from dialogue.freezing import freeze
from dialogue.instructions import plain_instructions
from dialogue.log import SilentLog
from dialogue.model import choose_precision, load_model
from dialogue.paper import Paper, set_paper
from dialogue.pretraining import Document
from dialogue.records import Dialogue, Turn
from dialogue.shards import concatenate
from dialogue.training import train

Floats = NDArray[np.float64]
Population = Mapping[str, Mapping[str, Floats]]
"""Domain → metric → [N, 4]: the values of one seed's model, of the other's and of the base, and
their weight. NaN where a dialogue does not have the metric."""

EARLIER, TARGET = ("chitchat", "support"), "assistant"
MEASURED = ("bits_per_byte", "history_gain")


def population(sizes: Sizes, folder: Path) -> Population:
    """What both models and their base give every held-out dialogue, text and instruction.

    Args:
        sizes: how much is learned and asked.
        folder: where it is kept, with the base, in a folder for each state of settings and code.
    """
    params = load_params(Path("params.yaml"))
    learning = [params.finetune.freeze, params.finetune.training]
    kept = folder / kept_name(__name__, sizes, params, learning) / "population.npz"
    if not kept.exists():
        found = _examined(sizes, kept.parent)
        values = {f"{d} {metric}": v for d, of in found.items() for metric, v in of.items()}
        partial = kept.with_name("partial.npz")
        np.savez(partial, **values)  # type: ignore[arg-type]
        partial.rename(kept)
    people: dict[str, dict[str, Floats]] = {}
    with np.load(kept, allow_pickle=False) as values:
        for name in values:
            domain, metric = name.split()
            people.setdefault(domain, {})[metric] = values[name]
    return people


def _examined(sizes: Sizes, folder: Path) -> Population:
    stream = open_stream(sizes, folder)
    params = load_params(Path("params.yaml"))
    texts = plain_documents(params)[-sizes.num_test :]
    general = {PLAIN_TEXT: [_text(each) for each in texts], INSTRUCTIONS: plain_instructions()}
    settings = params.evaluate.model_copy(update={"max_tokens": sizes.max_tokens})
    papers = [
        *(stream.papers[domain][0] for domain in (*EARLIER, TARGET)),
        *(set_paper(n, d, stream.tokenizer, settings, thorough=False) for n, d in general.items()),
    ]
    found = [_measured(stream, papers, seed) for seed in (1, 2, None)]
    return {
        domain: {
            metric: np.array(
                [
                    [*(each[domain].get((name, metric), _ABSENT)[0] for each in found), weight]
                    for name, weight in _weights(found[0][domain], metric)
                ]
            )
            for metric in MEASURED
            if any(of == metric for _, of in found[0][domain])
        }
        for domain in found[0]
    }


_ABSENT = (math.nan, math.nan)
_Measured = Mapping[str, Mapping[tuple[str, str], tuple[float, float]]]
"""Domain → (dialogue, metric) → value and weight."""


def _weights(
    measured: Mapping[tuple[str, str], tuple[float, float]], metric: str
) -> Iterator[tuple[str, float]]:
    """Every dialogue of a domain with the metric's weight, NaN where it does not have it."""
    for name, of in measured:
        if of == "bits_per_byte":
            yield name, measured.get((name, metric), _ABSENT)[1]


def _text(document: Document) -> Dialogue:
    turns = (Turn("assistant", document.text),)
    return Dialogue(document.id, turns, PLAIN_TEXT, "test", "", "", "", "")


def _measured(stream: Stream, papers: Sequence[Paper], seed: int | None) -> _Measured:
    """What a model trained from `seed`, or the base, gives every dialogue of the papers."""
    model = load_model(stream.base)
    if seed is not None:
        settings = load_params(Path("params.yaml")).finetune
        if stream.general is not None:
            freeze(model, settings.freeze)
        checkpoints = stream.base.with_name("checkpoints")
        assert stream.tokenizer.pad_token_id is not None
        train(
            model,
            concatenate([stream.train[domain] for domain in (*EARLIER, TARGET)]),
            settings.training.model_copy(update={"seed": seed}),
            SilentLog(),
            pad_id=stream.tokenizer.pad_token_id,
            checkpoints=checkpoints,
            label=f"seed {seed}",
        )
        shutil.rmtree(checkpoints, ignore_errors=True)
    model.train(False)
    model.to(torch.device("cpu"))  # type: ignore[arg-type]
    return {
        paper.domain: {
            (each.dialogue_id, each.metric): (each.value, each.weight)
            for each in answer_paper(model, paper, choose_precision("auto"))
            if each.metric in MEASURED
        }
        for paper in papers
    }
