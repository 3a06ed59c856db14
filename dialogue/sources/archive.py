"""What a registry package holds: a zip (wheel) or a tar (sdist), read without installing it."""

from __future__ import annotations

import difflib
import fnmatch
import re
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO


class Archive:
    """The members of a wheel or sdist by name; an sdist's own top folder is not part of a name."""

    def __init__(self, path: Path) -> None:
        """Open the archive at `path`; close it by leaving `with opened(path)`.

        Raises:
            ValueError: it is neither a zip nor a tar, or damaged, or a member would leave it.
        """
        self._path = path
        self._zip: zipfile.ZipFile | None = None
        self._tar: tarfile.TarFile | None = None
        try:
            if path.suffix in (".whl", ".zip"):
                self._zip = zipfile.ZipFile(path)
                names = {info.filename: info.filename for info in self._zip.infolist()}
            else:
                self._tar = tarfile.open(path)  # noqa: SIM115 -- closed by `opened`
                files = [member.name for member in self._tar.getmembers() if member.isfile()]
                names = {name.partition("/")[2]: name for name in files}
        except (zipfile.BadZipFile, tarfile.TarError) as error:
            raise ValueError(f"{path}: no readable wheel or sdist: {error}") from error
        check_names(path, names.values())
        self._names = {name: inside for name, inside in names.items() if not name.endswith("/")}

    def close(self) -> None:
        """Let go of the file."""
        for archive in (self._zip, self._tar):
            if archive is not None:
                archive.close()

    def matching(self, pattern: str) -> list[str]:
        """Names that are `pattern` or match its `*`, sorted.

        Raises:
            ValueError: there is none; similar names are offered.
        """
        return matching(pattern, self._names, self._path.name)

    def read(self, name: str) -> bytes:
        """A member's bytes."""
        with self._open(name) as stream:
            return stream.read()

    def extract(self, member: str, target: Path) -> None:
        """Unpack a member, a file or a folder, as `target`; what is already there is verified.

        Raises:
            ValueError: there is no such member.
        """
        inside = [name for name in self._names if name.startswith(f"{member}/")]
        parts = {name: _below(name, member) for name in inside or self.matching(member)}
        if self._holds(target, parts):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as folder:
            fresh = Path(folder) / "fresh"
            for name, part in parts.items():
                (fresh / part).parent.mkdir(parents=True, exist_ok=True)
                with self._open(name) as source, (fresh / part).open("wb") as sink:
                    shutil.copyfileobj(source, sink)
            # A process beside this one may have unpacked the same in the meantime.
            if not self._holds(target, parts):
                if target.exists():
                    target.rename(Path(folder) / "old")
                fresh.rename(target)

    def _open(self, name: str) -> IO[bytes]:
        inside = self._names[name]
        if self._zip is not None:
            return self._zip.open(inside)
        assert self._tar is not None
        stream = self._tar.extractfile(inside)
        assert stream is not None, "only files are named"
        return stream

    def _holds(self, target: Path, parts: dict[str, PurePosixPath]) -> bool:
        """Whether `target` has all files of a member, byte for byte."""
        return all(self._is_same(name, target / part) for name, part in parts.items())

    def _is_same(self, name: str, path: Path) -> bool:
        if not path.is_file():
            return False
        with self._open(name) as expected, path.open("rb") as found:
            while chunk := expected.read(1 << 20):
                if found.read(len(chunk)) != chunk:
                    return False
            return not found.read(1)


def matching(pattern: str, names: Collection[str], holder: str) -> list[str]:
    """Names that are `pattern` or match its `*`, sorted.

    Raises:
        ValueError: there is none; similar names are offered.
    """
    if pattern in names:
        return [pattern]
    if found := sorted(fnmatch.filter(names, pattern)):
        return found
    near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else ""
    raise ValueError(f"{holder} holds no member `{pattern}`{hint}")


def is_litter(name: str) -> bool:
    """Whether a file is one that macOS leaves beside others, and no content of an archive."""
    *folders, last = name.split("/")
    return "__MACOSX" in folders or last == ".DS_Store" or last.startswith("._")


def check_names(path: Path, names: Iterable[str]) -> None:
    """Refuse an archive of which a member would land outside of it, whether it is asked for or not.

    Raises:
        ValueError: there is such a member.
    """
    for name in names:
        if ".." in re.split(r"[/\\]", name) or PurePosixPath(name).is_absolute():
            raise ValueError(
                f"{path}: member `{name}` would leave its folder; do not trust this archive"
            )


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """An archive, closed afterwards."""
    archive = Archive(path)
    try:
        yield archive
    finally:
        archive.close()


def _below(name: str, member: str) -> PurePosixPath:
    """Where a file of the folder `member` goes inside its target; `.` for the member itself."""
    return PurePosixPath(name).relative_to(member) if name != member else PurePosixPath(".")
