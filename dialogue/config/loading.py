"""Reading params.yaml: every fault in it told by its field, with the mend."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dialogue.config.params import Params


def load_params(path: Path) -> Params:
    """Read and validate params.yaml.

    Raises:
        ValueError: one line per fault, each naming the field, what stands there and the mend.
    """
    try:
        raw: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - safe
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; run from the project's folder") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        found = "nothing" if raw is None else type(raw).__name__
        raise ValueError(f"{path}: expected sections, found {found}; restore it from git")
    try:
        return Params.model_validate(_tuples(raw))
    except ValidationError as error:
        lines = (_fault(path, fault, raw) for fault in error.errors())
        raise ValueError("\n".join(lines)) from error


_BOOL, _TEXT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:str"


class _Loader(yaml.SafeLoader):
    """YAML 1.1, but for `yes`, `no`, `on` and `off` as keys: labels and roles may be called so."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping whose keys are those words as they are written."""
        self.flatten_mapping(node)
        for key, _ in node.value:
            if key.tag == _BOOL and key.value.lower() not in ("true", "false"):
                key.tag = _TEXT
        return super().construct_mapping(node, deep)


def _tuples(value: Any) -> Any:
    """YAML knows lists only; the frozen sections hold tuples."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    return value


def _fault(path: Path, fault: Any, settings: Any) -> str:
    """One pydantic error as one line: field, what is wrong, the mend."""
    field = ".".join(_parts(fault["loc"], settings)) or "params"
    kind = fault["type"]
    if kind == "extra_forbidden":
        return f"{path}: `{field}` is no setting; remove it or correct its spelling"
    if kind == "missing":
        return f"{path}: `{field}` is missing; add it"
    if kind == "union_tag_not_found":
        return f"{path}: `{field}.kind` is missing; add it"
    if kind == "union_tag_invalid":
        tag, known = fault["ctx"]["tag"], fault["ctx"]["expected_tags"]
        return f"{path}: `{field}.kind` is {tag!r}; use one of {known}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        return f"{path}: {field + ': ' if fault['loc'] else ''}{message}"
    found = textwrap.shorten(repr(fault["input"]), 120, placeholder=" …")
    return f"{path}: `{field}` is {found}: {message}"


def _parts(location: tuple[Any, ...], settings: Any) -> Iterator[str]:
    """The field's keys as they stand in the file: pydantic adds the `kind` it chose by."""
    at = settings
    for index, part in enumerate(location):
        is_last = index == len(location) - 1
        if isinstance(at, dict) and part not in at and part == at.get("kind") and not is_last:
            continue
        yield str(part)
        try:
            at = at[part]
        except (KeyError, IndexError, TypeError):
            at = None
