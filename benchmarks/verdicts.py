"""Three second rounds whose truth is known, through the whole workflow: what do the gates say?

After `perennial run` on a clone of this project, three rounds continue from its champion: the
assistant's own commands with shuffled labels, one answer throughout in place of another, learned
without any protection (`naive`); chitchat of which twelve dialogues are held out; and chitchat that
nobody has learned yet. The first must be rejected by a sentence that says how much of the assistant
is lost, the second left undecided, the third promoted. Slow: four rounds.

    python -m benchmarks.verdicts
    python -m benchmarks.verdicts --quick    # the tiny profile, too small to judge
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from benchmarks._job import call, clone
from benchmarks.form import Bound, Row, quick_wanted, report
from dialogue.config import load_params
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue, Turn, read_dialogues
from dialogue.sources import raw_files, read
from flows import rounds
from tasks import releases
from tasks.graph import read_graph
from tasks.settings import edited_params

BOUNDS: dict[str, Bound] = {
    "regression_rejected": ("min", 1.0),
    "regression_named": ("min", 1.0),
    "twelve_inconclusive": ("min", 1.0),
    "gain_promoted": ("min", 1.0),
}
_FOLDER = Path("data/benchmarks/verdicts")
_SPOILT = "assistant"
_TRAIN, _TEST, _FEW = 200, 40, 12


def main() -> int:
    """Run the first round, then one after the other of the three."""
    quick = quick_wanted(__doc__ or "")
    job = clone(_FOLDER, "tiny" if quick else "default")
    # Nothing is timed: what a shared DVC cache holds of the committed job need not be computed.
    call(job, "dvc", "checkout", "--allow-missing")
    _allow_few(job)
    call(job, "perennial", "run")
    rows = [Row("the first round", _verdict(job)["sentence"], "", "")]
    fresh = _fresh(job)
    train, test = ([d for d in fresh if d.split == split] for split in ("train", "test"))
    scenes = {
        f"chitchat, {_FEW} to judge by": train[_TRAIN : 2 * _TRAIN] + test[_TEST:][:_FEW],
        "chitchat that is new": train[:_TRAIN] + test[:_TEST],
    }
    found = [_forgetting(job, _spoilt(job))]
    for dialogues in scenes.values():
        _append(job, dialogues)
        call(job, "perennial", "run")
        found.append(_verdict(job))
    names = (f"{_SPOILT} with shuffled labels, unprotected", *scenes)
    rows += [
        Row(name, f"look {verdict['look']}: {verdict['sentence']}", "", "")
        for name, verdict in zip(names, found, strict=True)
    ]
    spoilt, few, gain = found
    figures = {
        "regression_rejected": float(spoilt["verdict"] == "REJECT"),
        "regression_named": float(f"REJECT: {_SPOILT} is " in spoilt["sentence"]),
        "twelve_inconclusive": float(few["verdict"] == "INCONCLUSIVE"),
        "gain_promoted": float(gain["verdict"] == "PROMOTE"),
    }
    return report("verdicts", rows, figures, BOUNDS, quick=quick)


def _allow_few(job: Path) -> None:
    """Validation would stop a round with so few test dialogues before the gates see it."""
    text = (job / "params.yaml").read_text(encoding="utf-8")
    few = {"min": 1, "action": "stop", "reason": "the benchmark holds few out on purpose"}
    settings = yaml.safe_load(text)
    settings["validate"]["domains"]["feedback_*"]["num_test_dialogues"] = few
    (job / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def _forgetting(job: Path, dialogues: Sequence[Dialogue]) -> dict[str, Any]:
    """The verdict on a round that was learned with nothing to protect what was known.

    Only this round's stages run: the setting would make every lesson stale.
    """
    settings = (job / "params.yaml").read_text(encoding="utf-8")
    domain = _append(job, dialogues)
    rounds.begin_round(job, read_graph(job))
    with edited_params(job / "params.yaml") as changed:
        changed["finetune"]["strategy"] = ["naive"]
    for stage in ("ingest", "validate", "encode", "finetune", "evaluate"):
        call(job, "dvc", "repro", "--single-item", f"{stage}@{domain}")
    call(job, "dvc", "repro", "--single-item", "gate")
    verdict = _verdict(job)
    (job / "params.yaml").write_text(settings, encoding="utf-8")
    return verdict


def _append(job: Path, dialogues: Sequence[Dialogue]) -> str:
    """One round more in the curriculum, from the champion, as feedback would make it: its name."""
    params = load_params(job / "params.yaml")
    domain = rounds.next_feedback_round(params)
    source = Path("feedback") / f"{domain}.jsonl"
    (job / source).parent.mkdir(exist_ok=True)
    lines = (json.dumps({"messages": _messages(dialogue)}) for dialogue in dialogues)
    (job / source).write_text("\n".join(lines) + "\n", encoding="utf-8")
    champion = releases.champion(releases.open_store(job))
    assert champion is not None
    rounds.append_round(job, domain, source, champion.verdict["candidate"]["domain"])
    return domain


def _messages(dialogue: Dialogue) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.text} for turn in dialogue.turns]


def _spoilt(job: Path) -> list[Dialogue]:
    """The training dialogues of a domain that was learned; each answer has become another one.

    It is the same for all that had it: what is to be unlearned is which answer belongs to what.
    """
    known = list(read_dialogues(job / "data" / "valid" / _SPOILT / "dialogues.parquet", "train"))
    known = [dialogue for dialogue in known if dialogue.turns[-1].role == "assistant"]
    answers = sorted({dialogue.turns[-1].text for dialogue in known})
    random.Random(7).shuffle(answers)
    other = dict(zip(answers, [*answers[1:], answers[0]], strict=True))
    return [
        replace(
            dialogue,
            turns=(*dialogue.turns[:-1], Turn("assistant", other[dialogue.turns[-1].text])),
        )
        for dialogue in known
    ]


def _fresh(job: Path) -> list[Dialogue]:
    """Chitchat that the first round did not take, split as ingestion will split it."""
    params = load_params(job / "params.yaml")
    source = params.ingest.sources["chitchat"].model_copy(update={"limit": None})
    known = {d.id for d in read_dialogues(job / "data/valid/chitchat/dialogues.parquet")}
    everything = read(
        source,
        raw_files(source),
        "chitchat",
        test_share=params.ingest.test_share,
        validation_share=params.ingest.validation_share,
        scrubber=Scrubber(params.ingest.scrub),
        max_row_bytes=params.ingest.max_row_bytes,
    )
    new = (row for row in everything if isinstance(row, Dialogue) and row.id not in known)
    return list(islice(new, 12 * _TRAIN))


def _verdict(job: Path) -> dict[str, Any]:
    verdict: dict[str, Any] = json.loads((job / "reports" / "verdict.json").read_text())
    return verdict


if __name__ == "__main__":
    sys.exit(main())
