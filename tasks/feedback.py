"""What people said of the served replies, as dialogues for the next round."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dialogue.config import Params
from dialogue.digests import file_digest
from dialogue.harvest import Harvest, harvest
from dialogue.satisfaction import satisfaction
from dialogue.serving.store import Answer, ReplyStore


class TooLittle(ValueError):  # noqa: N818 - an answer, not a breakdown
    """Nothing is worth a round yet; the message says what there is and what is needed."""


def feedback(
    params: Params, *, replies: Path, source: Path, report: Path, earlier: Sequence[Path]
) -> Harvest:
    """Write the dialogues that people liked as a `messages` source, and a report beside it.

    Args:
        params: the settings; `feedback` says how many dialogues are needed, and of whom.
        replies: the store of served replies and ratings.
        source: JSON lines to write: a dialogue each, with the id of the reply it ends in.
        report: JSON to write: counts, and every reply that was set aside, with the reason.
        earlier: sources of earlier rounds; what they hold is not learned again.

    Raises:
        TooLittle: nothing was served yet, or too few dialogues are left; the report is written.
        ValueError: the store, or a source of an earlier round, cannot be read.
    """
    if not replies.is_file():
        raise TooLittle(f"{replies}: nothing was served yet; start `perennial serve`")
    store = ReplyStore(replies)
    try:
        ratings = store.ratings()
        answers = list(store.answers())
        learned = {reply_id for path in earlier for reply_id in _reply_ids(path)}
        found = harvest(
            answers, ratings, learned=learned, max_per_user=params.feedback.max_per_user
        )
    finally:
        store.close()
    enough = len(found.kept) >= params.feedback.min_dialogues
    digest = _write_source(source, found.kept) if enough else None
    facts = {
        "rated": len(ratings),
        "rated_up": sum(rating.opinion == "up" for rating in ratings.values()),
        "rated_down": sum(rating.opinion == "down" for rating in ratings.values()),
        "versions": {
            version: asdict(found_of)
            for version, found_of in satisfaction(answers, ratings).items()
        },
        "kept": len(found.kept),
        "needed": params.feedback.min_dialogues,
        "source": str(source) if enough else None,
        "source_digest": digest,
        "set_aside": found.reasons,
        "replies_set_aside": [
            {"reply_id": aside.reply_id, "reason": aside.reason} for aside in found.set_aside
        ],
    }
    _write_json(report, facts)
    if not enough:
        raise TooLittle(
            f"feedback: {len(found.kept)} dialogues are worth a round, "
            f"{params.feedback.min_dialogues} are needed (feedback.min_dialogues); "
            f"{len(ratings)} replies are rated, {report} says what was set aside"
        )
    return found


def _reply_ids(source: Path) -> list[str]:
    with source.open(encoding="utf-8") as lines:
        return [str(json.loads(line)["reply_id"]) for line in lines]


def _write_source(path: Path, answers: Sequence[Answer]) -> str:
    """Write the dialogues, all or nothing; returns the file's SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        for answer in answers:
            file.write(json.dumps(_row(answer), ensure_ascii=False) + "\n")
    partial.replace(path)
    return file_digest(path)


def _row(answer: Answer) -> dict[str, Any]:
    """A dialogue with what leads back to it; who the user was stays behind."""
    return {
        "messages": [{"role": turn.role, "content": turn.text} for turn in answer.turns],
        "reply_id": answer.id,
        "model": f"{answer.model}@{answer.version}",
        "digest": answer.digest,
        "time": answer.time,
    }


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
