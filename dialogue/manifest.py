"""The manifest of a model folder: a SHA-256 per file, and one digest that names the model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from dialogue.digests import file_digest

MANIFEST = "manifest.json"


def write_manifest(folder: Path, **facts: Any) -> str:
    """Write manifest.json over every other file of the folder; returns the folder's digest."""
    files = {
        str(path.relative_to(folder)): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    digest = _folder_digest(files)
    manifest = {"digest": digest, "files": files, **facts}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    return digest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest as it stands, unverified: cheap, for asking who somebody is.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest["files"], dict) or not isinstance(manifest["digest"], str):
            raise TypeError
    except FileNotFoundError as error:
        raise ValueError(f"{path}: missing; the model is incomplete, make it again") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged; make the model again") from error
    return dict(manifest)


def verify_manifest(folder: Path) -> str:
    """Check every file against the manifest; returns the folder's digest.

    Raises:
        ValueError: a file is missing, damaged or not in the manifest.
    """
    manifest = read_manifest(folder)
    files: dict[str, str] = manifest["files"]
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{path}: missing, though the manifest names it; restore the model")
        if file_digest(path) != expected:
            raise ValueError(f"{path}: damaged: its SHA-256 is not the manifest's; restore it")
    if manifest["digest"] != _folder_digest(files):
        raise ValueError(f"{folder / MANIFEST}: damaged: the digest does not fit its files")
    return str(manifest["digest"])


def _folder_digest(files: dict[str, str]) -> str:
    lines = "".join(f"{sha}  {name}\n" for name, sha in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
