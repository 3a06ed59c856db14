"""Every lifelong strategy on a stream of real domains, beside joint training and separate models.

A model learns one domain after the other; after each it is examined on all of them. It is a small
one of 1 M parameters, all of which learn, or, with `--base pretrained`, the base model of
params.yaml with its upper layers. What is finished is kept under data/benchmarks/lifelong, in a
folder for each state of settings and code, so that a run that was stopped goes on, and
`--strategies`, `--orders` and `--seeds` run a part. Maps, curves and the table lie beside it.

    python -m benchmarks.lifelong                      # every strategy: two hours on two cores
    python -m benchmarks.lifelong --base pretrained --seeds 1 \
        --strategies naive replay+distill+average joint     # with bf16 in hardware half an hour
    python -m benchmarks.lifelong --quick              # a smoke run, too small to judge
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from benchmarks._lifelong_figures import Result, draw, figures_of, table
from benchmarks._lifelong_rounds import QUICK, SIZES, learn, nothing, settings
from benchmarks._lifelong_stream import ORDERS, Stream, kept_name, open_stream
from benchmarks.form import Bound, report
from dialogue.config import Finetune, load_params
from dialogue.examination import answer_paper
from dialogue.model import choose_precision, load_model
from dialogue.paper import Paper
from dialogue.shards import concatenate

BOUNDS: dict[str, Bound] = {
    "forgetting_vs_naive": ("max", 0.05),
    "newest_domain_gap": ("max", 0.02),
    "gain_vs_joint": ("min", 0.98),
    "cost_vs_joint": ("max", 0.40),
    "memory_share": ("max", 0.05),
}
"""Each is held by the end of the 95 % interval that is worse."""
_FOLDER = Path("data/benchmarks/lifelong")
STRATEGIES: dict[str, dict[str, Any]] = {
    "naive": {},
    "replay": {},
    "ewc": {},
    "distill": {"distill": {"new": 1.0}},
    "pseudo": {},
    "pseudo+distill": {},
    "lora": {
        "lora": {"rank": 16, "alpha": 32, "max_bytes": 80_000_000},
        "training": {"learning_rate": 2e-3},
    },
    "average": {},
    "replay+distill": {},
    "replay+distill+average": {},
    "replay+distill+ewc": {},
}
"""Strategies joined by `+`, and what of params.yaml this small model needs otherwise."""
PEERS = ("joint", "separate")


def main() -> int:
    """Run what is asked for and not done yet; report on all that is done."""
    asked = _arguments()
    torch.set_num_threads(asked.threads)
    sizes = QUICK if asked.quick else SIZES[asked.base]
    params = load_params(Path("params.yaml"))
    made_by = kept_name("benchmarks.lifelong", sizes, params, [params.finetune])
    folder = _FOLDER / f"{made_by}-{choose_precision('auto')}-{asked.threads}"
    stream = open_stream(sizes, folder)
    default = "+".join(params.finetune.strategy)
    runs = list(_runs(asked, default))
    for number, (name, order, seed) in enumerate(runs, start=1):
        path = folder / f"{name} {order} {seed}.json"
        if path.exists() or asked.report:
            continue
        print(f"run {number} of {len(runs)}: {name}, {order}, seed {seed}", file=sys.stderr)
        settings = _settings(name, seed, stream, asked.base)
        found = _run(stream, name, [d for d in ORDERS[order] if d in stream.train], settings)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(found))
        partial.rename(path)
    results = _finished(folder, [*STRATEGIES, *PEERS])
    draw(results, folder)
    figures = figures_of(results, default, stream.num_bytes)
    judged = {
        name: figures[f"{name}_{'low' if side == 'min' else 'high'}"]
        for name, (side, _) in BOUNDS.items()
    }
    print(f"pictures and table: {folder}", file=sys.stderr)
    whole = set.intersection(
        *(
            {(each.order, each.seed) for each in results if each.name == name}
            for name in (default, "naive", "joint")
        )
    )
    if not whole:
        print(f"nothing is judged: {default}, naive and joint are not all there", file=sys.stderr)
    elif len(whole) < 2:
        print("nothing is judged: one run says nothing of the spread of runs", file=sys.stderr)
    rows, quick = table(results, default), asked.quick or len(whole) < 2
    status = report("lifelong", rows, judged, BOUNDS, quick=quick)
    (folder / "figures.json").write_text(json.dumps(figures, indent=2))
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    known = [*STRATEGIES, *PEERS]
    parser.add_argument("--base", choices=list(SIZES), default="small")
    parser.add_argument("--strategies", nargs="+", default=known, metavar="NAME")
    parser.add_argument("--orders", nargs="+", choices=list(ORDERS), default=list(ORDERS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="run nothing: what is finished")
    parser.add_argument("--quick", action="store_true", help="a smoke run: too small to judge")
    asked = parser.parse_args()
    if asked.quick:
        asked.seeds, asked.base = asked.seeds[:1], "small"
    return asked


def _runs(asked: argparse.Namespace, default: str) -> Iterator[tuple[str, str, int]]:
    """What the figures are made of comes first."""
    needed = [name for name in (default, "naive", "joint") if name in asked.strategies]
    names = [*needed, *(name for name in asked.strategies if name not in needed)]
    for seed in asked.seeds:
        for order in asked.orders:
            for name in names:
                yield name, order, seed


def _finished(folder: Path, known: Sequence[str]) -> list[Result]:
    """Every run that is kept here, of this start or an earlier one."""
    found = []
    for path in sorted(folder.glob("*.json")):
        name, _, rest = path.stem.partition(" ")
        order, _, seed = rest.rpartition(" ")
        if name in known and order in ORDERS and seed.isdigit():
            found.append(Result(name, order, int(seed), json.loads(path.read_text())))
    return sorted(found, key=lambda each: (known.index(each.name), each.order, each.seed))


def _settings(name: str, seed: int, stream: Stream, base: str) -> Finetune:
    """The section `finetune` of params.yaml, with what a strategy of `STRATEGIES` changes."""
    strategy = tuple(name.split("+")) if name not in PEERS else ("naive",)
    return settings(base, seed, stream, strategy, STRATEGIES.get(name, {}))


def _run(stream: Stream, name: str, order: Sequence[str], settings: Finetune) -> dict[str, Any]:
    """One strategy, order and seed: the scores of every cell, seconds and bytes."""
    model, memory = load_model(stream.base), nothing()
    scores = {"base": _examine(model, stream, order)}
    before = _generally(model, stream)
    costs: list[dict[str, float]] = []
    if name == "joint":
        lessons = {order[-1]: concatenate([stream.train[domain] for domain in order])}
    else:
        lessons = {domain: stream.train[domain] for domain in order}
    for domain, lesson in lessons.items():
        if name == "separate":
            model, memory = load_model(stream.base), nothing()
        model, memory, cost = learn(stream, domain, lesson, memory, settings, model)
        costs.append(cost)
        scores[domain] = _examine(model, stream, order)
    general = [before, _generally(model, stream)]
    memory_bytes = memory.num_bytes
    if name == "joint":
        # Trained anew on all domains so far, each time one comes: the last time is done, those
        # before it count by their share of its tokens.
        tokens = [int(stream.train[domain].lengths.sum()) for domain in order]
        (whole,) = costs
        costs = [
            {k: v * so_far / sum(tokens) for k, v in whole.items()} for so_far in accumulate(tokens)
        ]
        memory_bytes = stream.num_bytes
    return {"scores": scores, "general": general, "costs": costs, "memory_bytes": memory_bytes}


def _examine(model: PreTrainedModel, stream: Stream, order: Sequence[str]) -> dict[str, Any]:
    """Domain → metric → [value, weight] of every dialogue, always in the same order."""
    return {domain: _measured(model, stream.papers[domain]) for domain in order}


def _generally(model: PreTrainedModel, stream: Stream) -> dict[str, Any]:
    """The same of the plain instructions; empty where there are none."""
    return {} if stream.general is None else _measured(model, [stream.general])


def _measured(model: PreTrainedModel, papers: Sequence[Paper]) -> dict[str, list[list[float]]]:
    model.train(False)
    rows: dict[str, list[list[float]]] = {"bits_per_byte": [], "hits_at_1": []}
    for paper in papers:
        for each in answer_paper(model, paper, choose_precision("auto")):
            if each.metric in rows:
                rows[each.metric].append([each.value, each.weight])
    return rows


if __name__ == "__main__":
    sys.exit(main())
