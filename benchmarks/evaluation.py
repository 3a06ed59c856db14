"""The whole evaluation: its share of the default job, its growth, and a plain loop doing the same.

The job is `dvc repro` on a clone of this project, from nothing; then the model that learned the
last domain is examined again beside a champion, the model before it, as a second round does. The
peer is the loop that anybody would write: a full forward pass for every sequence that is scored,
and `generate` for every reply, by transformers' own model in the same precision; what both find is
compared. Growth is measured on the exam of the job, on a quarter, a half and all of it; the loop
does the quarter.

    python -m benchmarks.evaluation
    python -m benchmarks.evaluation --quick    # the tiny profile, too small to judge
"""

from __future__ import annotations

import functools
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from benchmarks._job import call, clone
from benchmarks.form import Bound, Row, alternate, paired_ratio, quick_wanted, report
from dialogue.config import Evaluate, Params, load_params
from dialogue.conversation import converse
from dialogue.examination import answer_paper, write_replies
from dialogue.manifest import read_manifest
from dialogue.metrics import Floats
from dialogue.metrics.likelihood import Branch, log_likelihoods
from dialogue.model import autocast, choose_precision, load_model
from dialogue.paper import Paper, set_paper
from dialogue.records import Dialogue, Turn, read_dialogues
from dialogue.tokenization import load_tokenizer
from tasks.releases import Release, open_store, record
from tasks.settings import edited_params

BOUNDS: dict[str, Bound] = {
    "share_of_default_job": ("max", 0.25),
    "growth_2x": ("max", 2.2),
    "growth_4x": ("max", 4.4),
    "evaluation_vs_plain_loop": ("min", 5.0),
}
_JOB = Path("data/benchmarks/evaluation")


def main() -> int:
    """Run the job, then each measurement on what it left."""
    quick = quick_wanted(__doc__ or "")
    job, seconds = _run_job(quick)
    params = load_params(job / "params.yaml")
    again = _examine_again(job, params, rounds=1 if quick else 3)
    exam = _exam(job, params)
    folder = job / "models" / params.candidate
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    model.train(False)
    sides = {
        name: functools.partial(_examine, model, tokenizer, *_part(exam, params.evaluate, part))
        for name, part in (("a quarter", 0.25), ("half", 0.5), ("all", 1.0))
    }
    growth = alternate(sides, rounds=1 if quick else 3)
    found = _beside_a_loop(
        model, tokenizer, *_part(exam, params.evaluate, 0.25), rounds=1 if quick else 3
    )
    medians = {name: statistics.median(seconds) for name, seconds in growth.items()}
    figures = {
        "default_job_seconds": seconds,
        "evaluation_seconds": again,
        "share_of_default_job": again / seconds,
        "growth_2x": paired_ratio(growth["half"], growth["a quarter"]),
        "growth_4x": paired_ratio(growth["all"], growth["a quarter"]),
        "evaluation_vs_plain_loop": paired_ratio(found["loop"], found["ours"]),
    }
    rows = [
        Row(
            "candidate beside champion, of the default job",
            f"{again:.1f} s",
            f"{seconds:.0f} s",
            f"{again / seconds:.2f}",
        ),
        *(
            Row(f"one model, {name} of the exam", f"{seconds:.1f} s", "", "")
            for name, seconds in medians.items()
        ),
        Row(
            "one model, a quarter, beside a plain loop",
            f"{statistics.median(found['ours']):.1f} s",
            f"{statistics.median(found['loop']):.1f} s",
            f"{figures['evaluation_vs_plain_loop']:.1f}×",
        ),
    ]
    return report("evaluation", rows, figures, BOUNDS, quick=quick)


def _run_job(quick: bool) -> tuple[Path, float]:
    """A clone of the project in which `dvc repro` ran from nothing, and its seconds."""
    job = clone(_JOB / ("quick" if quick else "job"), "tiny" if quick else "default")
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


def _exam(job: Path, params: Params) -> dict[str, list[Dialogue]]:
    exam: dict[str, list[Dialogue]] = {}
    for dialogue in read_dialogues(job / "scores" / params.candidate / "exam.parquet"):
        exam.setdefault(dialogue.domain, []).append(dialogue)
    return exam


def _part(
    exam: dict[str, list[Dialogue]], settings: Evaluate, part: float
) -> tuple[dict[str, list[Dialogue]], Evaluate]:
    """So much of every domain, of its replies and of its conversations."""
    asked = settings.model_copy(
        update={
            "num_generations": max(1, round(part * settings.num_generations)),
            "num_conversations": max(1, round(part * settings.num_conversations)),
        }
    )
    return {
        domain: dialogues[: max(1, round(part * len(dialogues)))]
        for domain, dialogues in exam.items()
    }, asked


def _examine(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    exam: dict[str, list[Dialogue]],
    settings: Evaluate,
) -> None:
    """Everything that is asked of one model."""
    precision = choose_precision("auto")
    for domain, dialogues in exam.items():
        paper = set_paper(domain, dialogues, tokenizer, settings, thorough=True)
        list(answer_paper(model, paper, precision))
        if paper.thorough:
            write_replies(model, tokenizer, paper, settings, precision)
            converse(model, tokenizer, paper.questions, settings, precision)


def _beside_a_loop(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    exam: dict[str, list[Dialogue]],
    settings: Evaluate,
    rounds: int,
) -> dict[str, list[float]]:
    """Seconds of ours and of the loop for the whole exam."""
    papers = [
        set_paper(domain, dialogues, tokenizer, settings, thorough=True)
        for domain, dialogues in exam.items()
    ]
    precision = choose_precision("auto")

    def ours() -> list[list[Floats]]:
        scored = []
        for paper in papers:
            trees = [item.tree for item in paper.items]
            scored += log_likelihoods(model, trees, precision)
            if paper.thorough:
                write_replies(model, tokenizer, paper, settings, precision)
                converse(model, tokenizer, paper.questions, settings, precision)
        return scored

    def loop() -> list[list[Floats]]:
        return [each for paper in papers for each in _plainly(model, tokenizer, paper, settings)]

    _check(ours(), loop())
    return alternate({"ours": ours, "loop": loop}, rounds)


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
