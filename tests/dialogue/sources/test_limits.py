"""What is far too large is refused at once, and what is long is read in constant memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import json, resource, sys, time
from dialogue import sources
from dialogue.config import FileSource
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue

path, form, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
source = FileSource(kind="file", path=path, format=form, licence="MIT", **options)
began, count, reason, refused = time.process_time(), 0, "", 0.0
try:
    files = sources.raw_files(source)
    for row in sources.read(source, files, "x", test_share=0.1, validation_share=0.1,
                            scrubber=Scrubber(()), max_row_bytes=int(sys.argv[4])):
        count += isinstance(row, Dialogue)
        if not count and not reason:
            reason, refused = row.reason, time.process_time() - began
            break
except ValueError as error:
    reason, refused = str(error), time.process_time() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([count, reason, refused, peak]))
"""


def measured(
    path: Path, form: str, max_row_bytes: int = 1 << 20, **options: object
) -> tuple[int, str, float, float]:
    """Dialogues, the first reason, processor seconds until it, and the process's peak in MiB."""
    # The shell stands between: a process's peak begins with that of the one that started it.
    command = [
        "sh",
        "-c",
        '"$@"; exit $?',
        "sh",
        sys.executable,
        "-c",
        PROGRAM,
        str(path),
        form,
        json.dumps(options),
    ]
    done = subprocess.run(
        [*command, str(max_row_bytes)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    count, reason, seconds, peak = json.loads(done.stdout)
    return count, reason, seconds, peak


def large_turn(path: Path, form: str) -> None:
    text = "x" * (20 << 20)
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": "y"}]
    if form == "messages":
        path.write_text(json.dumps({"messages": turns}) + "\n")
    elif form == "sharegpt":
        said = [{"from": turn["role"], "value": turn["content"]} for turn in turns]
        path.write_text(json.dumps([{"conversations": said}]))
    elif form == "eou":
        path.write_text(f"{text} __eou__ y __eou__\n")
    elif form == "table":
        path.write_text(f"p,r\n{text},y\n")
    elif form == "chatterbot":
        path.write_text(f"conversations:\n- - {text}\n  - y\n")
    elif form.startswith("parquet of"):
        # A dictionary holds a text once, whatever number of rows or turns name it.
        texts = pa.DictionaryArray.from_arrays([0] * 50, [text])
        roles = pa.array(["user", "assistant"] * 25)
        said = pa.StructArray.from_arrays([roles, texts], ["role", "content"])
        columns = {"p": texts, "r": roles}
        if form == "parquet of turns":
            columns = {"messages": pa.ListArray.from_arrays([0, 50], said)}
        pq.write_table(pa.table(columns), path, compression="none", store_schema=False)
    else:
        table = pa.table({"p": [text], "r": ["y"]})
        pq.write_table(table, path, compression="none", use_dictionary=False)


COLUMNS = {"columns": {"prompt": "p", "response": "r"}}
PARQUET = {"parquet": "table", "parquet of one text": "table", "parquet of turns": "messages"}
FORMS = ["messages", "sharegpt", "eou", "table", "chatterbot", *PARQUET]


@pytest.mark.parametrize("form", FORMS)
def test_a_turn_of_20_mb_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / "large"
    large_turn(path, form)
    name = PARQUET.get(form, form)
    options: dict[str, Any] = COLUMNS if name == "table" else {}
    count, reason, seconds, peak = measured(path, name, **options)
    assert count == 0
    assert "too large: more than 1048576 bytes" in reason
    # A tenth as a rule; the bound is for machines that are busy otherwise.
    assert seconds < 5
    assert peak < 200


def lines_of_turns(form: str) -> Iterator[str]:
    num = 1_000_000
    if form == "messages":
        yield '{"messages": [' + '{"role": "user", "content": "a"},' * num + "{}]}\n"
    elif form == "eou":
        yield "a__eou__" * num + "\n"
    elif form == "taobao":
        yield "1" + "\ta" * num + "\n"
    elif form == "persona_chat":
        yield from (f"{number} a\tb\n" for number in range(1, num + 1))
    else:
        yield "d,who,t\n"
        yield "1,user,a\n" * num


@pytest.mark.parametrize(
    ("form", "max_row_bytes"),
    [
        ("messages", 1 << 20),
        ("eou", 1 << 20),
        # A row that may be as large as the dialogue is: the number of turns is what is too large.
        ("eou", 16 << 20),
        ("taobao", 16 << 20),
        ("persona_chat", 16 << 20),
        ("table", 16 << 20),
    ],
)
def test_a_dialogue_of_a_million_turns_is_refused(
    tmp_path: Path, form: str, max_row_bytes: int
) -> None:
    path = tmp_path / "long"
    with path.open("w") as file:
        file.writelines(lines_of_turns(form))
    columns = {"dialogue": "d", "role": "who", "text": "t"}
    options: dict[str, Any] = {"columns": columns} if form == "table" else {}
    count, reason, seconds, peak = measured(path, form, max_row_bytes, **options)
    assert count == 0
    assert reason.startswith("too ")
    # A tenth as a rule; the bound is for machines that are busy otherwise.
    assert seconds < 5
    assert peak < 200


@pytest.mark.parametrize("form", ["messages", "sharegpt"])
def test_memory_does_not_grow_with_the_number_of_dialogues(tmp_path: Path, form: str) -> None:
    key, who, what = (
        ("messages", "role", "content")
        if form == "messages"
        else ("conversations", "from", "value")
    )
    turns = [{who: ("user", "assistant")[n % 2], what: f"turn {n} " * 4} for n in range(8)]
    line = json.dumps({key: turns})

    def peak(num: int) -> float:
        path = tmp_path / "chat"
        with path.open("w") as file:
            if form == "messages":
                file.writelines(f"{line}\n" for _ in range(num))
            else:
                file.write("[")
                file.writelines(f"{line},\n" for _ in range(num))
                file.write(f"{line}]")
        count, _, _, mebibytes = measured(path, form)
        assert count in (num, num + 1)
        return mebibytes

    assert peak(5_000) < peak(500) + 8
