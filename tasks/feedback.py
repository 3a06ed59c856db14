"""What people said of the served replies, as dialogues for the next round."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dialogue.config import Params, RuleName
from dialogue.digests import file_digest
from dialogue.harvest import Harvest, harvest
from dialogue.records import Turn
from dialogue.satisfaction import satisfaction
from dialogue.serving.store import Answer, ReplyStore
from tasks._prospect import Prospect


class TooLittle(ValueError):  # noqa: N818 - an answer, not a breakdown
    """Nothing is worth a round yet; the message says what there is and what is needed."""


def feedback(
    params: Params,
    *,
    domain: str,
    replies: Path,
    source: Path,
    report: Path,
    learned: Sequence[Path],
    tried: Sequence[Path],
    fingerprints: Path,
) -> Harvest:
    """Write the dialogues that people liked as a `messages` source, and a report beside it.

    What a round held that no champion learned is harvested again, but makes no round by itself:
    `feedback.min_dialogues` counts what no round has held yet.

    Args:
        params: the settings; `feedback` says how many dialogues are needed, and of whom, and
            `validate.rules` how many of them must be left for training and for the exam.
        domain: the round's name.
        replies: the store of served replies and ratings.
        source: JSON lines to write: a dialogue each, with the id of the reply it ends in.
        report: JSON to write: counts, and every reply that was set aside, with the reason.
        learned: sources of the rounds that the champion has learned; they are not learned again.
        tried: sources of the other rounds: what they hold is not new.
        fingerprints: what is remembered of the domains that the champion has learned.

    Raises:
        TooLittle: nothing was served yet, or too few dialogues are left; the report is written.
        ValueError: the store, a source of an earlier round or the fingerprints cannot be read.
    """
    if not replies.is_file():
        raise TooLittle(f"{replies}: nothing was served yet; start `perennial serve`")
    store = ReplyStore(replies)
    try:
        ratings = store.ratings()
        answers = list(store.answers())
    finally:
        store.close()
    prospect = Prospect(params, domain)
    found = harvest(
        answers,
        ratings,
        learned=_dialogues(learned),
        tried=_dialogues(tried),
        split=prospect.split,
        max_per_user=params.feedback.max_per_user,
    )
    lacking = _lacking(params, domain, prospect, found, fingerprints)
    digest = None if lacking else _write_source(source, found.kept)
    facts = {
        "rated": len(ratings),
        "rated_up": sum(rating.opinion == "up" for rating in ratings.values()),
        "rated_down": sum(rating.opinion == "down" for rating in ratings.values()),
        "versions": {
            version: asdict(found_of)
            for version, found_of in satisfaction(answers, ratings).items()
        },
        "kept": len(found.kept),
        "new": found.num_new,
        "needed": params.feedback.min_dialogues,
        "lacking": lacking,
        "source": None if lacking else str(source),
        "source_digest": digest,
        "set_aside": found.reasons,
        "replies_set_aside": [
            {"reply_id": aside.reply_id, "reason": aside.reason} for aside in found.set_aside
        ],
    }
    _write_json(report, facts)
    if lacking:
        raise TooLittle(
            f"feedback: {lacking}; {len(ratings)} replies are rated, "
            f"{report} says what was set aside"
        )
    return found


def _lacking(
    params: Params, domain: str, prospect: Prospect, found: Harvest, fingerprints: Path
) -> str | None:
    """What is not enough for a round yet, and how much more is wanted; None: there is enough.

    A round's dialogues do not change any more: one that validation stops would stop there always.
    """
    num_new, needed = found.num_new, params.feedback.min_dialogues
    if num_new < needed:
        others = len(found.kept) - num_new
        besides = f" besides {others} of rounds that no champion learned" if others else ""
        return (
            f"{num_new} dialogues are worth a round{besides}, "
            f"{needed} are needed (feedback.min_dialogues)"
        )
    settings, test_share = params.validate_, params.ingest.test_share
    figures = prospect.counts((answer.turns for answer in found.kept), fingerprints)
    wanted: tuple[tuple[RuleName, float, str], ...] = (
        ("num_dialogues", 1.0, "validation"),
        ("num_test_dialogues", test_share, "validation for the test split"),
    )
    for rule, share, what in wanted:
        bound = settings.rules_for(domain)[rule]
        missing = math.ceil((bound.min or 0) - figures[rule])
        if bound.action == "stop" and missing > 0:
            more = f", about {math.ceil(missing / share)} dialogues more" if share else ""
            return (
                f"of {len(found.kept)} dialogues {figures[rule]:.0f} are left by {what}, "
                f"{bound.min:.0f} are needed ({settings.path_of(domain, rule)}){more}"
            )
    return None


def _dialogues(sources: Iterable[Path]) -> Iterator[tuple[Turn, ...]]:
    """The dialogues of earlier rounds, as they were harvested.

    Raises:
        ValueError: a source is missing, or a line of it is no dialogue.
    """
    for source in sources:
        try:
            lines = source.read_bytes().splitlines()
        except OSError as error:
            raise ValueError(
                f"{source}: cannot be read ({error.strerror}), and what an earlier round held is "
                "not to be learned again; restore it"
            ) from error
        for number, line in enumerate(lines, 1):
            try:
                messages = json.loads(line)["messages"]
                yield tuple(Turn(message["role"], _text(message)) for message in messages)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{source}:{number}: no dialogue as a feedback round has them "
                    '(`{"messages": [{"role": …, "content": …}, …]}`); restore the file'
                ) from error


def _text(message: dict[str, Any]) -> str:
    if not isinstance(message["content"], str):
        raise TypeError
    return message["content"]


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
