"""What every section of params.yaml is, and the types that several of them use."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """A part of params.yaml: frozen, unknown keys forbidden, no value hidden in code."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
