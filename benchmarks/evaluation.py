"""The whole evaluation: its share of the default job, its growth, and a plain loop doing the same.

The job is `dvc repro` on a clone of this project, from nothing; then the model that learned the
last domain is examined again beside a champion, the model before it, as a second round does. Growth
is that of one model's examination from 20 to 40 and 80 dialogues of each domain, plain text apart,
with as many more replies and conversations. The peer is the loop that anybody would write: a full
forward pass for every sequence that is scored, and `generate` for every reply, by transformers' own
model in the same precision. Both do the job's whole exam, a domain at a time in turn, and their
likelihoods are compared.

    python -m benchmarks.evaluation
    python -m benchmarks.evaluation --quick    # the tiny profile, too small to judge
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from benchmarks._job import call, clone
from benchmarks.form import Bound, Row, alternate, paired_ratio, quick_wanted, report
from dialogue.config import Evaluate, Params, load_params
from dialogue.conversation import converse
from dialogue.exam import compose_exam
from dialogue.examination import write_replies
from dialogue.instructions import plain_instructions
from dialogue.manifest import read_manifest
from dialogue.metrics import Floats
from dialogue.metrics.likelihood import Branch, log_likelihoods
from dialogue.model import autocast, choose_precision, load_model
from dialogue.paper import Paper, set_paper
from dialogue.records import Turn, read_dialogues
from dialogue.tokenization import load_tokenizer
from tasks._exam_files import EXAM, LABELS, NGRAMS
from tasks._examiner import Examiner, choose_similarity
from tasks.releases import Release, open_store, record
from tasks.settings import edited_params

BOUNDS: dict[str, Bound] = {
    "share_of_default_job": ("max", 0.25),
    "growth_2x": ("max", 2.2),
    "growth_4x": ("max", 4.4),
    "evaluation_vs_plain_loop": ("min", 5.0),
}
_JOB = Path("data/benchmarks/evaluation")
_SIZES = (20, 40, 80)


def main() -> int:
    """Run the job, then each measurement on what it left."""
    quick = quick_wanted(__doc__ or "")
    job, seconds = _run_job(quick)
    _say("the default job", seconds)
    params = load_params(job / "params.yaml")
    found = _beside_a_loop(job, params)
    _say("the whole exam by this and by a plain loop", *map(sum, found.values()))
    again = _examine_again(job, params, rounds=1 if quick else 2)
    _say("candidate beside champion", again)
    sizes = {f"{size} dialogues": _examination(job, params, size) for size in _SIZES}
    next(iter(sizes.values()))()  # What is loaded once is no part of the first size.
    growth = alternate(sizes, rounds=1, uncounted=0)
    ours, loop = sum(found["ours"]), sum(found["loop"])
    once, twice, four_times = growth.values()
    figures = {
        "default_job_seconds": seconds,
        "evaluation_seconds": again,
        "share_of_default_job": again / seconds,
        "growth_2x": paired_ratio(twice, once),
        "growth_4x": paired_ratio(four_times, once),
        "evaluation_vs_plain_loop": loop / ours,
    }
    rows = [
        Row(
            "candidate beside champion, of the default job",
            f"{again:.1f} s",
            f"{seconds:.0f} s",
            f"{again / seconds:.2f}",
        ),
        *(
            Row(f"one model, {name} a domain", f"{statistics.median(seconds):.1f} s", "", "")
            for name, seconds in growth.items()
        ),
        Row(
            "one model, the whole exam, beside a plain loop",
            f"{ours:.1f} s",
            f"{loop:.1f} s",
            f"{figures['evaluation_vs_plain_loop']:.1f}×",
        ),
    ]
    return report("evaluation", rows, figures, BOUNDS, quick=quick)


def _say(what: str, *seconds: float) -> None:
    """What was measured so far: the whole takes hours."""
    print(f"{what}: {', '.join(f'{each:.1f} s' for each in seconds)}", file=sys.stderr, flush=True)


def _run_job(quick: bool) -> tuple[Path, float]:
    """A clone of the project in which `dvc repro` ran from nothing, and its seconds."""
    job = clone(_JOB / ("quick" if quick else "job"), "tiny" if quick else "default")
    # A shared cache would hold what is to be timed.
    call(job, "dvc", "config", "--local", "cache.dir", str(job / ".dvc" / "cache"))
    began = time.perf_counter()
    call(job, "dvc", "repro")
    return job, time.perf_counter() - began


def _examine_again(job: Path, params: Params, rounds: int) -> float:
    """Seconds of the last evaluation beside a champion, the model before the candidate."""
    before = params.curriculum[params.candidate].after
    folder = job / "models" / before
    digest = str(read_manifest(folder)["digest"])
    record(open_store(job), Release(digest, 1, folder, "benchmark"))
    with edited_params(job / "params.yaml") as settings:
        settings["curriculum"][params.candidate]["against"] = digest
    stage = f"evaluate@{params.candidate}"
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        call(job, "dvc", "repro", "--force", "--single-item", stage)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _sized(settings: Evaluate, size: int) -> Evaluate:
    """So many dialogues of every domain, and replies and conversations in proportion."""
    share = size / settings.max_dialogues
    return settings.model_copy(
        update={
            "max_dialogues": size,
            "num_generations": round(share * settings.num_generations),
            "num_conversations": round(share * settings.num_conversations),
        }
    )


def _examination(job: Path, params: Params, size: int) -> Callable[[], object]:
    """All that is asked of a candidate but plain text, of so many dialogues of whatever split."""
    domain = params.candidate
    scores, folder = job / "scores" / domain, job / "models" / domain
    known = [
        read_dialogues(job / "data" / "valid" / name / "dialogues.parquet")
        for name in params.lineage(domain)
    ]
    settings = _sized(params.evaluate, size)
    examiner = Examiner(
        settings,
        compose_exam(chain(plain_instructions(), *known), size),
        np.load(scores / NGRAMS, allow_pickle=False),
        choose_similarity(settings),
        json.loads((scores / LABELS).read_text(encoding="utf-8")),
    )
    return functools.partial(examiner.examine, folder, "candidate", domain)


def _beside_a_loop(job: Path, params: Params) -> dict[str, list[float]]:
    """Seconds of ours and of the loop for each domain's paper, in turn: nothing is warmed up."""
    settings = params.evaluate
    exam = compose_exam(
        read_dialogues(job / "scores" / params.candidate / EXAM), settings.max_dialogues
    )
    folder = job / "models" / params.candidate
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    model.train(False)
    precision = choose_precision("auto")

    def ours(paper: Paper) -> list[list[Floats]]:
        scored = log_likelihoods(model, [item.tree for item in paper.items], precision)
        if paper.thorough:
            write_replies(model, tokenizer, paper, settings, precision)
            converse(model, tokenizer, paper.questions, settings, precision)
        return scored

    def loop(paper: Paper) -> list[list[Floats]]:
        return _plainly(model, tokenizer, paper, settings)

    seconds: dict[str, list[float]] = {"ours": [], "loop": []}
    for domain, dialogues in exam.items():
        paper = set_paper(domain, dialogues, tokenizer, settings, thorough=True)
        likelihoods = []
        for name, side in (("ours", ours), ("loop", loop)):
            began = time.perf_counter()
            likelihoods.append(side(paper))
            seconds[name].append(time.perf_counter() - began)
        _check(*likelihoods)
    return seconds


def _plainly(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, paper: Paper, settings: Evaluate
) -> list[list[Floats]]:
    """What a domain's paper asks: one forward pass a sequence, one `generate` a reply."""
    found = []
    with torch.inference_mode(), autocast(choose_precision("auto"), model.device):
        for item in paper.items:
            trunk = item.tree.trunk
            parts = []
            for branch in (Branch(0, trunk), *item.tree.branches):
                ids = np.concatenate([trunk.ids[: branch.start], branch.tokens.ids])
                mask = np.zeros(len(ids), dtype=bool)
                mask[branch.start :] = branch.tokens.mask
                mask[0] = False
                row = torch.from_numpy(ids.astype(np.int64))
                logs = model(input_ids=row[None]).logits[0].float().log_softmax(-1)
                scored = torch.from_numpy(np.flatnonzero(mask))
                parts.append(logs[scored - 1, row[scored]].double().numpy())
            found.append(parts)
        if not paper.thorough:
            return found
        asked = [question for question in paper.questions if len(question.turns) > 1]
        for question in asked[: settings.num_generations]:
            _reply(model, tokenizer, question.turns[:-1], settings)
        able = {question.id: _own_turns(question.turns) for question in asked}
        for question in [q for q in asked if len(able[q.id]) > 1][: settings.num_conversations]:
            turns = list(question.turns)
            for place in able[question.id][-settings.conversation_turns :]:
                said = _reply(model, tokenizer, turns[:place], settings)
                turns[place] = Turn("assistant", said)
    return found


def _own_turns(turns: Sequence[Turn]) -> list[int]:
    return [place for place, turn in enumerate(turns) if place and turn.role == "assistant"]


def _reply(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    turns: Sequence[Turn],
    settings: Evaluate,
) -> str:
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    prompt: Any = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = model.generate(  # type: ignore[operator]
        **prompt,
        max_new_tokens=settings.max_new_tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
    )
    new = written[0, prompt["input_ids"].shape[1] :]
    return str(tokenizer.decode(new, skip_special_tokens=True))


def _check(ours: Sequence[Sequence[Floats]], loop: Sequence[Sequence[Floats]]) -> None:
    """Both sides' likelihoods are the same ones; bf16 rounds each token by another path."""
    mine = np.array([part.mean() for parts in ours for part in parts if len(part)])
    theirs = np.array([part.mean() for parts in loop for part in parts if len(part)])
    np.testing.assert_allclose(mine, theirs, rtol=0.05, atol=0.05)


if __name__ == "__main__":
    sys.exit(main())
