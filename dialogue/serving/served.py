"""Which model is served: known before anything of it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Served:
    """Which model is to be served."""

    name: str
    version: str
    digest: str
    folder: Path

    @property
    def label(self) -> str:
        """How clients are told of it: `name@version`."""
        return f"{self.name}@{self.version}"

    def refusal(self, model: str | None) -> str | None:
        """Why a request that names `model` is not for this one; None where it is."""
        if model in (None, self.name, self.label):
            return None
        return f"the model `{model}` is not served here; use `{self.name}`"
