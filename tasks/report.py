"""Put the verdict and all its evidence on one page: the candidate's report card."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from dialogue.card.content import Evidence, card_content
from dialogue.card.curves import read_curve
from dialogue.card.page import render_page
from dialogue.card.samples import choose_samples
from dialogue.config import Params
from dialogue.log import Log
from dialogue.records import read_dialogues
from dialogue.replies import read_replies
from dialogue.scores import read_scores
from tasks._exam_files import BASE, EXAM, REPLIES, ROWS
from tasks._origin import git_commit
from tasks._step import run

_LOGGER = logging.getLogger(__name__)


def report(
    params: Params,
    log: Log,
    *,
    verdict: Path,
    evidence: Path,
    scores: Path,
    pretrained: Path,
    ingested: Path,
    validated: Path,
    encoded: Path,
    finetuned: Path,
    evaluated: Path,
    page: Path,
    data: Path,
) -> None:
    """Write the card of the candidate at the end of the curriculum, as a page and as JSON.

    Args:
        params: `report` says how many replies are shown.
        log: receives the page.
        verdict: what `gate` wrote.
        evidence: the folder of the scores and the exam that the verdict rests on.
        scores: the folder of every domain's examination, replies among it.
        pretrained: the report of `pretrain`; its curve lies beside it.
        ingested: the folder of the reports of `ingest`.
        validated: that of `validate`.
        encoded: that of `encode`.
        finetuned: that of `finetune`, with its curves.
        evaluated: that of `evaluate`.
        page: where the HTML goes.
        data: where the same goes as JSON.

    Raises:
        ValueError: a report is missing or damaged, or the verdict is on another candidate.
    """
    judged = _read(verdict)
    domain, lessons = params.candidate, params.lineage(params.candidate)
    if judged["candidate"]["domain"] != domain:
        raise ValueError(
            f"{verdict}: judges {judged['candidate']['domain']}, the curriculum ends with "
            f"{domain}; run gate again"
        )
    exam = list(read_dialogues(evidence / EXAM))
    samples = choose_samples(
        exam,
        read_replies(scores / domain / REPLIES),
        read_scores(evidence / ROWS),
        num_samples=params.report.num_samples,
        history_turns=params.report.history_turns,
        seed=params.report.seed,
    )
    curves = [pretrained.with_suffix(".csv"), *[finetuned / f"{name}.csv" for name in lessons]]
    content = card_content(
        Evidence(
            verdict=judged,
            lessons=lessons,
            exam=exam,
            samples=samples,
            curves=[
                read_curve(name, path.read_text(encoding="utf-8"))
                for name, path in zip((BASE, *lessons), curves, strict=True)
            ],
            evaluation=_read(evaluated / f"{domain}.json"),
            pretraining=_read(pretrained),
            ingested=_read_all(ingested, lessons),
            validated=_read_all(validated, lessons),
            encoded=_read_all(encoded, lessons),
            trained=_read_all(finetuned, lessons),
            commit=git_commit(Path.cwd()),
        )
    )
    _write(data, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    _write(page, render_page(content))
    _LOGGER.info("%s holds the verdict and its evidence", page)
    log.metrics({"rules_passed": content["counts"]["passed"], "replies_shown": len(samples)})
    log.tags({"verdict": judged["verdict"], "candidate": judged["candidate"]["digest"]})
    log.artifact(page)
    log.artifact(data)


def _read_all(folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _read(folder / f"{name}.json") for name in names}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: missing; run the stage that writes it") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: damaged: {error}; run its stage again") from error


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(report)
