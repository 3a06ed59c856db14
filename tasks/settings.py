"""Edits params.yaml as a person would: the comments, the order and the rest of the text stay."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.representer import RoundTripRepresenter

from dialogue.config import load_params


@contextlib.contextmanager
def edited_params(path: Path) -> Iterator[Any]:
    """Yield the settings as a mapping to change; they are written where the change is valid.

    The file is replaced in one move, so a reader sees the old settings or the new ones. Nothing
    is written where the block raises or changes nothing.

    Raises:
        ValueError: the file is missing or no YAML, or what the block made of it is no valid
            setting; the message names the field.
    """
    yaml = _round_trip()
    settings = read_settings(path)
    before = _dumped(yaml, settings)
    yield settings
    after = _dumped(yaml, settings)
    if after == before:
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(after, encoding="utf-8")
    try:
        load_params(draft)
        draft.replace(path)
    except ValueError as error:
        raise ValueError(str(error).replace(str(draft), str(path))) from error
    finally:
        draft.unlink(missing_ok=True)


def read_settings(path: Path) -> Any:
    """The mapping in a YAML file, with its comments.

    Raises:
        ValueError: no such file, no YAML, or no mapping.
    """
    try:
        settings = _round_trip().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; run from the project's folder") from error
    except YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path}: expected settings, found {type(settings).__name__}")
    return settings


def append_entry(section: Any, key: str, entry: dict[str, Any], *, inline: bool) -> None:
    """Add `key: entry` at the end of a section; `inline` writes it as `{…}` on one line.

    The blank line or comment after the section is held by its last value; it moves behind the
    new one.
    """
    added = CommentedMap(entry)
    if inline:
        added.fa.set_flow_style()
    last = next(reversed(section), None)
    section[key] = added
    if last is None:
        return
    holder, name = section, last
    while isinstance(holder[name], CommentedMap) and not holder[name].fa.flow_style():
        holder, name = holder[name], next(reversed(holder[name]))
    if name in holder.ca.items:
        after = holder.ca.items.pop(name)
        if inline:
            section.ca.items[key] = after
        else:
            added.ca.items[next(reversed(added))] = after


def _round_trip() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # long lines are the author's; none is folded
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.Representer = _ExplicitNull
    return yaml


def _dumped(yaml: YAML, settings: Any) -> str:
    text = io.StringIO()
    yaml.dump(settings, text)
    return text.getvalue()


class _ExplicitNull(RoundTripRepresenter):  # type: ignore[misc]
    """Writes `null` where there is nothing, as params.yaml does."""


_ExplicitNull.add_representer(
    type(None),
    lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null"),
)
