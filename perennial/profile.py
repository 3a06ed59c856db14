"""`perennial profile`: switches params.yaml between its sets of values."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from perennial.project import enter_project

_FOLDER = "profiles"
_DOMAINS = "ingest.sources."


def profile_command(
    name: Annotated[str, typer.Argument(help="a file of profiles/, without .yaml")],
) -> None:
    """Write the values of a profile into params.yaml; everything else in it stays.

    `default` continues a pretrained model, `scratch` begins from nothing, `tiny` takes seconds.
    """
    from perennial.terminal import open_console
    from tasks.settings import edited_params, read_settings

    project, _ = enter_project()
    profile = read_settings(_file(project, name))
    with edited_params(project / "params.yaml") as settings:
        changes = list(_apply(settings, profile))
    console = open_console()
    for field, before, after in changes:
        console.print(f"  {field}: {before} → {after}", markup=False, soft_wrap=True)
    console.print(f"params.yaml holds the profile {name}; `perennial run` trains it.", markup=False)


def check_profile(project: Path, name: str) -> None:
    """Refuse a `profile` that was only written down: its name alone changes nothing.

    Values of one's own are welcome; none of the named profile and all of another one are not.

    Raises:
        ValueError: there is no such profile, or the values are those of another one.
    """
    from tasks.settings import read_settings

    if not (project / _FOLDER).is_dir():
        return
    settings = read_settings(project / "params.yaml")
    if _holds(settings, _file(project, name)):
        return
    for other in sorted((project / _FOLDER).glob("*.yaml")):
        if other.stem != name and _holds(settings, other):
            raise ValueError(
                f"params.yaml: `profile` says {name}, the values are those of {other.stem}; "
                f"`perennial profile {name}` writes the others"
            )


def _holds(settings: Any, file: Path) -> bool:
    """Whether every value of the profile, but for its name, stands in the settings."""
    from tasks.settings import read_settings

    try:
        changes = _apply(copy.deepcopy(settings), read_settings(file))
        return all(field == "profile" for field, _, _ in changes)
    except ValueError:
        return False


def _file(project: Path, name: str) -> Path:
    known = {file.stem: file for file in sorted((project / _FOLDER).glob("*.yaml"))}
    if name not in known:
        raise ValueError(f"profiles: no profile `{name}`; there are {', '.join(known) or 'none'}")
    return known[name]


def _apply(
    settings: Any, profile: Mapping[str, Any], at: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Set every value of the profile; yields what changed: field, before, after.

    A mapping with a `kind` is one value: the keys of another kind would not fit into it. A domain
    that was taken out of the project is left out here, too.
    """
    for key, value in profile.items():
        field = f"{at}{key}"
        if at == _DOMAINS and key not in settings:
            continue
        if key not in settings:
            raise ValueError(f"params.yaml: `{field}` is missing, and the profile sets it; add it")
        before = settings[key]
        if isinstance(value, Mapping) and isinstance(before, Mapping) and "kind" not in value:
            yield from _apply(before, value, f"{field}.")
        elif before != value:
            settings[key] = value
            yield field, _short(before), _short(value)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value['kind']} …" if "kind" in value else "…"
    return f"{len(value)} entries" if isinstance(value, list) else str(value)
