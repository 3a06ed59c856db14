"""Replies and rankings of real chats against transformers' own, as tuned as it goes.

Both sides continue the same histories (chitchat-dataset, an 8,192-word vocabulary) with the same
random-weight Llamas, and score the same 20 candidate responses to each. transformers is tried with
both attentions, both caches and several batch sizes in the type that is faster here, with a static
cache in fp32 and, at one batch size, under `torch.compile`; its fastest meets this project's in
turn. In fp32 both must say the same tokens and find the same
log-likelihoods. The settings of allocator and thread pool are the same for all, and good for both.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from benchmarks._chats import chats
from benchmarks._generation_peers import (
    Setting,
    fastest,
    full_passes,
    generated,
    settings,
    shared_cache,
)
from benchmarks.form import Bound, Row, alternate, paired_ratio, quick_wanted, report
from dialogue.decoding import Batch, greedy
from dialogue.encoding import Encoded, Encoder
from dialogue.metrics.likelihood import Branch, Tree, log_likelihoods
from dialogue.model import Precision, choose_precision
from dialogue.records import Dialogue
from dialogue.tokenization import train_tokenizer

BOUNDS: dict[str, Bound] = {
    "generate_vs_hf_batched": ("min", 3.0),
    "rank20_vs_hf_shared": ("min", 2.0),
    "rank20_vs_full_passes": ("min", 6.0),
    "greedy_rows_equal_fp32": ("min", 1.0),
    "likelihood_difference_fp32": ("max", 1e-3),
}
_NUM_CANDIDATES = 20
_MAX_PROMPT, _MAX_CANDIDATE = 384, 32
_SMALL = LlamaConfig(
    vocab_size=8_192,
    hidden_size=320,
    intermediate_size=864,
    num_hidden_layers=8,
    num_attention_heads=5,
    num_key_value_heads=5,
    max_position_embeddings=1_024,
    tie_word_embeddings=True,
)
_SMOLLM2 = LlamaConfig(
    vocab_size=49_152,
    hidden_size=576,
    intermediate_size=1_536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    max_position_embeddings=2_048,
    tie_word_embeddings=True,
)
_ENVIRONMENT = {
    # Threads that wait for one another must not spin where others want the cores.
    "OMP_WAIT_POLICY": "passive",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
Models = dict[torch.dtype, LlamaForCausalLM]


@dataclass(frozen=True, slots=True)
class Work:
    """How much is asked of each side."""

    prompts: Sequence[list[int]]
    candidates: Sequence[list[int]]
    num_tokens: int
    num_ranked: int
    rounds: int
    batch_size: int


def main() -> int:
    """Run both sides in turn."""
    if any(os.environ.get(name) != value for name, value in _ENVIRONMENT.items()):
        # Both are read when a process begins.
        command = [sys.executable, "-m", "benchmarks.generation", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **_ENVIRONMENT})
    quick = quick_wanted(__doc__ or "")
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    prompts, candidates = _material(12 if quick else 128)
    work = Work(prompts, candidates, 8 if quick else 64, 1 if quick else 4, 1 if quick else 3, 32)
    rows: list[Row] = []
    figures = {"mean_prompt_tokens": statistics.mean(map(len, prompts))}
    with torch.inference_mode():
        small = _models(_SMALL, {torch.float32, _dtype()})
        figures |= _generation(small, work, rows, _tried(quick))
        figures |= _ranking(small, work, rows)
        figures |= _equality(small[torch.float32], work)
        if quick:
            return report("generation", rows, figures, BOUNDS, quick=True)
        del small
        few = Work(prompts[::8], candidates, work.num_tokens // 2, 1, 1, 16)
        large = _models(_SMOLLM2, [_dtype()])
        tried = settings([_dtype()], [16])
        found = _generation(large, few, rows, tried) | _ranking(large, few, rows)
        figures |= {f"{name}_smollm2": value for name, value in found.items()}
    return report("generation", rows, figures, BOUNDS, quick=quick)


def _generation(
    models: Models, work: Work, rows: list[Row], tried: Sequence[Setting]
) -> dict[str, float]:
    """New tokens a second of both sides, transformers in its fastest setting."""
    # As many as the largest batch has, or batch sizes would not differ.
    few = max(setting.batch_size for setting in tried)
    every = max(len(work.prompts) // few, 1)
    best, speeds = fastest(models, work.prompts[::every], work.num_tokens, tried)
    for setting, speed in sorted(speeds.items(), key=lambda item: -item[1])[:6]:
        print(f"transformers, {setting}: {speed:,.0f} new tokens/s")
    seconds = alternate(
        {
            "ours": lambda: _continued(models[_dtype()], work),
            "peer": lambda: generated(models[best.dtype], work.prompts, work.num_tokens, best),
        },
        work.rounds,
    )
    total = len(work.prompts) * work.num_tokens
    rows.append(_row(f"new tokens/s; peer: {best}", total, seconds["ours"], seconds["peer"]))
    return {"generate_vs_hf_batched": paired_ratio(seconds["peer"], seconds["ours"])}


def _ranking(models: Models, work: Work, rows: list[Row]) -> dict[str, float]:
    """Contexts a second with 20 candidates each, of this, a shared cache, and full passes."""
    asked = _asked(work)
    model = models[_dtype()]
    sides: dict[str, Callable[[], object]] = {"ours": lambda: _ranked(model, asked)}
    for attention in ("sdpa", "eager"):
        for name, score in (("shared", shared_cache), ("full", full_passes)):
            for batch_size in (_NUM_CANDIDATES // 4, _NUM_CANDIDATES):

                def call(
                    attention: str = attention,
                    score: Callable[..., object] = score,
                    batch_size: int = batch_size,
                ) -> None:
                    model.set_attn_implementation(attention)
                    for context, candidates in asked:
                        score(model, context, candidates, batch_size)

                sides[f"{name}, {attention}, batch {batch_size}"] = call
    seconds = alternate(sides, work.rounds)
    figures = {}
    for name, figure in (("shared", "rank20_vs_hf_shared"), ("full", "rank20_vs_full_passes")):
        own = [peer for peer in sides if peer.startswith(name)]
        best = min(own, key=lambda peer: statistics.median(seconds[peer]))
        rows.append(_row(f"contexts/s; peer: {best}", len(asked), seconds["ours"], seconds[best]))
        figures[figure] = paired_ratio(seconds[best], seconds["ours"])
    return figures


def _equality(model: LlamaForCausalLM, work: Work) -> dict[str, float]:
    """What both sides say and find in fp32."""
    few = Work(work.prompts[::4], work.candidates, 32, 2, 1, work.batch_size)
    setting = Setting("sdpa", "dynamic", 8, torch.float32)
    peer = generated(model, few.prompts, few.num_tokens, setting)
    ours = _continued(model, few)
    asked = _asked(few)
    found = np.array(_ranked(model, asked))
    differences = [
        np.abs(found - np.array([score(model, *question, _NUM_CANDIDATES) for question in asked]))
        for score in (shared_cache, full_passes)
    ]
    return {
        "greedy_rows_equal_fp32": statistics.mean(
            float(one == other) for one, other in zip(ours, peer, strict=True)
        ),
        "likelihood_difference_fp32": float(np.max(differences)),
    }


def _continued(model: LlamaForCausalLM, work: Work) -> list[list[int]]:
    """Greedy continuations of exactly `num_tokens`, in order; a row that ends is replaced."""
    waiting = sorted(range(len(work.prompts)), key=lambda index: len(work.prompts[index]))
    batch = Batch(model, special=())
    said: dict[int, list[int]] = {}
    places: dict[int, int] = {}
    while waiting or places:
        joining = [waiting.pop() for _ in range(min(work.batch_size - len(batch), len(waiting)))]
        if joining:
            samplings = [greedy(work.num_tokens)] * len(joining)
            keys = batch.add([work.prompts[index] for index in joining], samplings)
            places.update(zip(keys, joining, strict=True))
        for key, token in batch.step().items():
            said.setdefault(places[key], []).append(token)
        ended = {key for key, place in places.items() if len(said[place]) == work.num_tokens}
        batch.drop(ended)
        places = {key: place for key, place in places.items() if key not in ended}
    return [said[index] for index in range(len(work.prompts))]


def _ranked(
    model: LlamaForCausalLM, asked: Sequence[tuple[list[int], list[list[int]]]]
) -> list[list[float]]:
    """Log-likelihood of every candidate of every context."""
    trees = [
        Tree(
            _encoded(context, scored=False),
            tuple(Branch(len(context), _encoded(ids, scored=True)) for ids in candidates),
        )
        for context, candidates in asked
    ]
    precision: Precision = "bf16" if model.dtype == torch.bfloat16 else "fp32"
    found = log_likelihoods(model, trees, precision)
    return [[float(part.sum()) for part in parts[1:]] for parts in found]


def _asked(work: Work) -> list[tuple[list[int], list[list[int]]]]:
    """Contexts and the candidates of each."""
    return [
        (
            work.prompts[index],
            [
                work.candidates[(index + shift) % len(work.candidates)]
                for shift in range(_NUM_CANDIDATES)
            ],
        )
        for index in range(work.num_ranked)
    ]


def _material(number: int) -> tuple[list[list[int]], list[list[int]]]:
    """Histories that end where the last response begins, and those responses, as tokens."""
    dialogues = _dialogues(max(number, 2 * _NUM_CANDIDATES))
    texts = (turn.text for dialogue in dialogues for turn in dialogue.turns)
    encoder = Encoder(train_tokenizer(texts, _SMALL.vocab_size))
    prompts, candidates = [], []
    for dialogue in dialogues:
        *history, response = dialogue.turns
        prompts.append(encoder.prompt(history, _MAX_PROMPT))
        candidates.append(encoder.response(response.text)[:_MAX_CANDIDATE])
    return prompts[:number], candidates


def _dialogues(number: int) -> list[Dialogue]:
    return list(islice((each for each in chats() if len(each.turns) > 1), number))


def _models(config: LlamaConfig, dtypes: Iterable[torch.dtype]) -> Models:
    """The same weights in every type."""
    models: Models = {}
    for dtype in dtypes:
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        model.train(False)
        model.to(dtype)  # type: ignore[arg-type]
        models[dtype] = model
    return models


def _dtype() -> torch.dtype:
    return torch.bfloat16 if choose_precision("auto") == "bf16" else torch.float32


def _tried(quick: bool) -> list[Setting]:
    if quick:
        return [Setting("eager", "static", 8, _dtype())]
    fp32 = [setting for setting in settings([torch.float32], [16, 32]) if setting.cache == "static"]
    compiled = [
        Setting(attention, "static", 32, _dtype(), compiled=True) for attention in ("sdpa", "eager")
    ]
    return list(dict.fromkeys([*settings([_dtype()], [8, 16, 32, 64]), *fp32, *compiled]))


def _encoded(ids: Sequence[int], *, scored: bool) -> Encoded:
    return Encoded(np.asarray(ids, dtype=np.int64), np.full(len(ids), scored))


def _row(what: str, amount: int, ours: Sequence[float], peer: Sequence[float]) -> Row:
    ratios = sorted(p / o for p, o in zip(peer, ours, strict=True))
    return Row(
        what,
        f"{amount / statistics.median(ours):,.1f}",
        f"{amount / statistics.median(peer):,.1f}",
        f"{statistics.median(ratios):.2f}× ({ratios[0]:.2f} … {ratios[-1]:.2f})",
    )


if __name__ == "__main__":
    sys.exit(main())
