"""What an examination leaves in its folder, and what later steps look for there."""

from __future__ import annotations

from typing import Final

BASE: Final = "base"
"""Where the base model stands among the domains' models and scores."""
ROWS: Final = "rows.parquet"
"""One row per model, dialogue and metric."""
EXAM: Final = "exam.parquet"
"""The dialogues that were asked."""
NGRAMS: Final = "ngrams.npy"
"""Runs of words that training has shown so far."""
LABELS: Final = "labels.json"
"""Of each labelled domain, all labels that training has shown."""
REPLIES: Final = "replies.parquet"
"""What candidate and champion wrote themselves."""
