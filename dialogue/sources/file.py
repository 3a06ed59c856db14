"""`kind: file`: a file of the project or of this machine, or several of a folder, glob or zip."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from dialogue.config import FileSource
from dialogue.sources.archive import is_litter, matching
from dialogue.sources.raw import RawFile, from_path
from dialogue.sources.zipped import is_zip, zip_members


def raw_files(source: FileSource) -> tuple[RawFile, ...]:
    """The one file; or the members of the folder or zip; or what the glob finds; sorted by name.

    Paths are relative to the working directory. No link is followed out of a folder.

    Raises:
        ValueError: a file is missing, empty or outside of its folder, or a zip is damaged.
    """
    path = Path(source.path).expanduser()
    if not path.exists() and glob.has_magic(source.path):
        return _globbed(path, source)
    if path.is_dir():
        return _of_folder(path, source)
    if path.is_file() and is_zip(path):
        return zip_members(path, source.path, source.members)
    if source.members:
        raise ValueError(f"{path}: `members` are for a folder or zip, which it is not")
    return (from_path(path, source.path),)


def _globbed(path: Path, source: FileSource) -> tuple[RawFile, ...]:
    if source.members:
        raise ValueError(f"{path}: a glob names its files itself; leave `members` out")
    root = Path(*path.parts[: _num_plain(path)])
    pattern = str(Path(*path.parts[_num_plain(path) :]))
    found = (each for each in root.glob(pattern) if not each.is_dir())
    files = sorted(each for each in found if not is_litter(each.name))
    if not files:
        raise ValueError(f"{path}: the glob finds no file; correct the path")
    for each in files:
        _check_inside(each, root)
    return tuple(from_path(each, str(each)) for each in files)


def _num_plain(path: Path) -> int:
    """How many of the path's first parts hold no `*`, `?` or `[`."""
    plain = [not glob.has_magic(part) for part in path.parts]
    return plain.index(False)


def _of_folder(folder: Path, source: FileSource) -> tuple[RawFile, ...]:
    if not source.members:
        raise ValueError(f"{folder}: the source is a folder; name files in it by `members`")
    names = [name for name in _names(folder) if not is_litter(name)]
    chosen = [name for member in source.members for name in matching(member, names, str(folder))]
    for name in chosen:
        _check_inside(folder / name, folder)
    return tuple(
        from_path(folder / name, f"{source.path}/{name}") for name in dict.fromkeys(chosen)
    )


def _names(folder: Path) -> Iterator[str]:
    """Files below the folder; a linked folder must lie inside, and is found by its own name."""
    for base, folders, files in os.walk(folder):
        for name in folders:
            _check_inside(Path(base, name), folder)
        yield from (Path(base, name).relative_to(folder).as_posix() for name in files)


def _check_inside(path: Path, folder: Path) -> None:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"{path}: a link out of its folder, to {path.resolve()}; put the file itself there"
        )
