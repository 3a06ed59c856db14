"""Reading a report card, for the version whose candidate it speaks of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = "card.html"
CONTENT = "card.json"
"""The two files' names inside a registered version."""

_LIFELONG = ("average", "backward_transfer", "forward_transfer", "forgetting")


def read_report(content: Path, page: Path, digest: str) -> dict[str, Any]:
    """The content of the card of the model `digest`.

    Raises:
        ValueError: the card or its page is missing, damaged, or of another model.
    """
    try:
        card = json.loads(content.read_text(encoding="utf-8"))
        of = card["candidate"]["digest"]
    except FileNotFoundError as error:
        raise ValueError(f"{content}: no report card yet; run `dvc repro`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{content}: no report card ({error!r}); run `dvc repro`") from error
    if of != digest:
        raise ValueError(
            f"{content}: the report card of {of[:12]}, not of {digest[:12]}; run `dvc repro`"
        )
    if not page.is_file():
        raise ValueError(f"{page}: missing; run `dvc repro`")
    return dict(card)


def lifelong_metrics(card: Mapping[str, Any]) -> dict[str, float]:
    """What the lifelong matrix sums up to, under MLflow's names: `lifelong/forgetting`."""
    told = card["lifelong"]
    return {f"lifelong/{name}": told[name] for name in _LIFELONG if told.get(name) is not None}
