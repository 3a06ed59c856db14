"""Reading a verdict, and checking that it speaks of this model and of this evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialogue.digests import file_digest

VERDICT = "verdict.json"
EVIDENCE = "evidence.parquet"
"""The two files' names inside a registered version, beside its `model/`."""

_FIELDS = ("verdict", "sentence", "candidate", "champion", "evidence_digest", "rules", "metrics")


def read_verdict(path: Path) -> dict[str, Any]:
    """The verdict that `gate` wrote.

    Raises:
        ValueError: the file is missing, damaged or lacks a field.
    """
    try:
        verdict = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no verdict yet; run `dvc repro`") from error
    except ValueError as error:
        raise ValueError(f"{path}: no valid JSON ({error}); run `dvc repro`") from error
    missing = [name for name in _FIELDS if name not in verdict]
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}; run `dvc repro` again")
    return dict(verdict)


def check_verdict(verdict: Mapping[str, Any], digest: str, evidence: Path) -> None:
    """Check that the verdict was given of the model `digest`, on the scores in `evidence`.

    Raises:
        ValueError: it speaks of another model, or the scores are not those it was given on.
    """
    judged = verdict["candidate"]["digest"]
    if judged != digest:
        raise ValueError(
            f"the verdict judges the model {judged[:12]}, not {digest[:12]}; run `dvc repro`"
        )
    if not evidence.is_file():
        raise ValueError(f"{evidence}: missing, and the verdict rests on it; run `dvc repro`")
    if file_digest(evidence) != verdict["evidence_digest"]:
        raise ValueError(f"{evidence}: not the scores the verdict was given on; run `dvc repro`")
