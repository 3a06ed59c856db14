"""Where a step reports to: it knows this protocol, and no tracker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

Value = str | int | float | bool | None


class Log(Protocol):
    """What a step may say while it works."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Figures, or one point of a curve where `step` is given."""

    def params(self, values: Mapping[str, Value]) -> None:
        """Settings that the step resolved itself, such as the precision it chose."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Labels to search by."""

    def dataset(self, name: str, digest: str, path: Path, context: str) -> None:
        """An input or output dataset by digest; `context` says what it is used for."""

    def artifact(self, path: Path) -> None:
        """A file or folder worth looking at."""


class SilentLog:
    """A log that nobody reads, for libraries and tests."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Say nothing."""

    def params(self, values: Mapping[str, Value]) -> None:
        """Say nothing."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Say nothing."""

    def dataset(self, name: str, digest: str, path: Path, context: str) -> None:
        """Say nothing."""

    def artifact(self, path: Path) -> None:
        """Say nothing."""
