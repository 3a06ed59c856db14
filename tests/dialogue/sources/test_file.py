from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dialogue.config import FileSource
from dialogue.records import Dialogue
from dialogue.sources import file


def messages(text: str) -> str:
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": "yes"}]
    return json.dumps({"messages": turns}) + "\n"


def names_of(path: Path | str, *members: str) -> list[str]:
    source = FileSource(
        kind="file", path=str(path), members=members, format="messages", licence="MIT"
    )
    return [raw.name for raw in file.raw_files(source)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "chats"
    (folder / "old").mkdir(parents=True)
    for name in ("b.jsonl", "a.jsonl", "old/c.jsonl", "readme.txt"):
        (folder / name).write_text(messages(name))
    return folder


def zipped(path: Path, members: dict[str, str | bytes], **settings: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content, **settings)
    return path


def test_a_folder_is_read_by_its_members(folder: Path, rows_of: Callable[..., Any]) -> None:
    assert names_of(folder, "old/c.jsonl", "*.jsonl") == [
        f"{folder}/{name}" for name in ("old/c.jsonl", "a.jsonl", "b.jsonl")
    ]
    rows = rows_of(folder, "messages", members=("*.jsonl",))
    assert [row.origin for row in rows] == [
        f"{folder}/{n}:1" for n in ("a.jsonl", "b.jsonl", "old/c.jsonl")
    ]
    assert len({row.raw_digest for row in rows}) == 3
    with pytest.raises(ValueError, match="is a folder; name files in it by `members`"):
        names_of(folder)
    with pytest.raises(ValueError, match=r"holds no member `a.json`; did you mean `a.jsonl`"):
        names_of(folder, "a.json")


def test_a_glob_finds_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names_of(folder / "*.jsonl") == [f"{folder}/a.jsonl", f"{folder}/b.jsonl"]
    assert names_of(folder / "**" / "*.jsonl")[-1] == f"{folder}/old/c.jsonl"
    monkeypatch.chdir(folder)
    assert names_of("?.jsonl") == ["a.jsonl", "b.jsonl"]
    (folder / "[x].jsonl").write_text(messages("x"))
    assert names_of("[x].jsonl") == ["[x].jsonl"]
    with pytest.raises(ValueError, match="the glob finds no file"):
        names_of(folder / "*.json")
    with pytest.raises(ValueError, match="leave `members` out"):
        names_of(folder / "*.jsonl", "a.jsonl")


@pytest.mark.parametrize("way", ["members", "glob", "linked folder", "glob through a folder"])
def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path, way: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "s.jsonl").write_text(messages("secret"))
    (folder / "inside.jsonl").symlink_to(folder / "a.jsonl")
    assert f"{folder}/inside.jsonl" in names_of(folder, "*.jsonl")
    if "through" in way or "folder" in way:
        (folder / "link").symlink_to(tmp_path / "secrets")
    else:
        (folder / "s.jsonl").symlink_to(tmp_path / "secrets" / "s.jsonl")
    members = ["*.jsonl"] if way in ("members", "linked folder") else []
    path = {"glob": folder / "*.jsonl", "glob through a folder": folder / "*" / "*.jsonl"}
    with pytest.raises(ValueError, match=r"a link out of its folder, to .*secrets"):
        names_of(path.get(way, folder), *members)


def test_a_zip_is_known_by_its_content(tmp_path: Path, rows_of: Callable[..., Any]) -> None:
    path = zipped(tmp_path / "chats.data", {"x/a.jsonl": messages("a"), "b.txt": "no"})
    (row,) = rows_of(path, "messages", members=("x/*",))
    assert isinstance(row, Dialogue)
    assert row.origin == f"{path}/x/a.jsonl:1"
    with pytest.raises(ValueError, match=r"the zip holds 2 files \(b.txt, x/a.jsonl\); name some"):
        names_of(path)
    only = zipped(tmp_path / "one.zip", {"a.jsonl": messages("a")})
    assert names_of(only) == [f"{only}/a.jsonl"]


@pytest.mark.parametrize("name", ["../evil.jsonl", "x/../../evil.jsonl", "/evil.jsonl", "..\\evil"])
def test_a_zip_with_a_member_that_would_leave_it_is_refused_whole(
    tmp_path: Path, name: str
) -> None:
    path = zipped(tmp_path / "c.zip", {"good.jsonl": messages("a"), name: messages("b")})
    with pytest.raises(ValueError, match=r"member `.*evil.*` would leave its folder; do not trust"):
        names_of(path, "good.jsonl")


def test_a_zip_of_a_thousand_to_one_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", {"a.jsonl": b"0" * (64 << 20)})
    assert path.stat().st_size * 900 < 64 << 20
    with pytest.raises(ValueError, match=r"`a.jsonl` unpacks to more than 200 times its size"):
        names_of(path)


def test_a_zip_whose_header_lies_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "c.zip", {"a.jsonl": messages("a" * 5_000)})
    content = bytearray(path.read_bytes())
    size = (5_000 + len(messages(""))).to_bytes(4, "little")
    for at in (content.index(size), content.rindex(size)):
        content[at : at + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no readable zip: Bad CRC-32"):
        names_of(path)


def test_a_damaged_zip_is_told(tmp_path: Path) -> None:
    path = zipped(tmp_path / "c.zip", {"a.jsonl": messages("a")})
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    with pytest.raises(ValueError, match=r"c.zip: no readable zip: .*is the file whole"):
        names_of(path)
    flipped = bytearray(content)
    flipped[50] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match=r"c.zip: no readable zip"):
        names_of(path)


def test_what_macos_leaves_is_passed_over(tmp_path: Path) -> None:
    litter = ("__MACOSX/._a.jsonl", "__MACOSX/x/b.jsonl", "._a.jsonl", "x/.DS_Store")
    names: dict[str, str | bytes] = dict.fromkeys((*litter, "a.jsonl"), messages("a"))
    path = zipped(tmp_path / "c.zip", names)
    assert names_of(path) == names_of(path, "*") == [f"{path}/a.jsonl"]
    for name, content in names.items():
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_text(str(content))
    assert names_of(tmp_path / "d", "*") == [f"{tmp_path}/d/a.jsonl"]
    assert names_of(tmp_path / "d" / "*.jsonl") == [f"{tmp_path}/d/a.jsonl"]


@pytest.mark.parametrize("method", ["deflate", "bzip2", "lzma"])
def test_a_damaged_zip_of_any_method_is_told(tmp_path: Path, method: str) -> None:
    methods = {"deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2}
    path = tmp_path / "c.zip"
    with zipfile.ZipFile(path, "w", methods.get(method, zipfile.ZIP_LZMA)) as archive:
        archive.writestr("a.jsonl", "".join(messages(f"{number}") for number in range(99)))
    content = path.read_bytes()
    start = 30 + len("a.jsonl")
    for at in (start + 4, start + 20):
        damaged = bytearray(content)
        damaged[at] ^= 255
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"c.zip: no readable zip: .*is the file whole"):
            names_of(path)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    with pytest.raises(ValueError, match="the source's file is missing"):
        names_of(path)
    path.write_text("x")
    with pytest.raises(ValueError, match="`members` are for a folder or zip"):
        names_of(path, "a")
    empty = zipped(tmp_path / "empty.zip", {"a.jsonl": ""})
    with pytest.raises(ValueError, match=r"a.jsonl: the source's file is empty"):
        names_of(empty)
