"""`perennial data` and `perennial data diff` as a person and a script meet them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.versioned import ROOT, Versioned, dialogue

FIRST = [
    dialogue(f"word {number}", f"faq.json:{number}", "test" if number % 5 == 0 else "train")
    for number in range(40)
]
SECOND = [
    *FIRST[2:20],
    *(dialogue(f"<b>其他</b> {number}", f"faq.json:{number}") for number in range(20, 40)),
    dialogue("the news of today", "faq.json:40", "validation"),
    dialogue("word 0", "faq.json:0", "train"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Versioned:
    """Two versions; what reads them leaves nothing but reports."""
    project = Versioned.make(tmp_path_factory.mktemp("data") / "project")
    project.version(FIRST, "first")
    project.version(SECOND, "second")
    return project


def data(project: Versioned, *words: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "PERENNIAL_"))}
    home = str(project.path.parent / "home")
    return subprocess.run(
        [sys.executable, "-m", "perennial", "data", *words],
        cwd=project.path,
        env=kept | {"PYTHONPATH": str(ROOT), "COLUMNS": str(columns), "HOME": home},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def shown(project: Versioned, *words: str) -> str:
    done = data(project, *words)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    return done.stdout


def read(project: Versioned, *words: str) -> dict[str, Any]:
    done = data(project, *words, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def refused(project: Versioned, *words: str) -> str:
    done = data(project, *words)
    assert done.returncode == 2, (done.stdout, done.stderr)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_the_list_is_for_people(project: Versioned) -> None:
    lines = shown(project).splitlines()
    assert lines[0] == "support  2 versions"
    assert lines[1].startswith(f"  ● {project.digest()[:8]}  ")
    assert lines[1].endswith("HEAD, workspace")
    assert lines[2].startswith("    40 dialogues: 36 train + 1 validation + 3 test; 80 turns, ")
    assert lines[3] == "    chatterbot-corpus==1.3.3 at 86de5300afb9, BSD-3-Clause"
    assert "raw dddddddd → records " in lines[4]
    assert lines[5] == "    in the cache; not in the remote `folder`: `dvc push`"
    assert lines[6].startswith("  ○ ")


def test_the_list_is_for_scripts(project: Versioned) -> None:
    answer = read(project, "--domain", "support")
    assert answer["remote"]["name"] == "folder"
    newest, oldest = answer["domains"]["support"]
    assert newest["dialogues"] == {"train": 36, "validation": 1, "test": 3}
    assert newest["digests"]["valid"] == project.digest()
    assert (newest["licence"], newest["cache"], newest["remote"]) == (
        "BSD-3-Clause",
        "whole",
        "none",
    )
    assert (newest["workspace"], oldest["workspace"]) == ("whole", None)
    assert oldest["commit"] == project.git("rev-parse", "HEAD~1")


def test_a_difference_is_for_people(project: Versioned) -> None:
    before = project.git("status", "--porcelain")
    text = shown(project, "diff", "support", "HEAD~1", "--examples", "1")
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()[2:6]}
    # before, after, added, removed, changed, same; one more of each side moved
    assert rows["all"] == ["40", "40", "1", "1", "20", "18"]
    assert rows["validation"] == ["0", "1", "1", "0", "0", "0"]
    assert "1 moved from test to train" in text
    assert "drift of lengths 0." in text
    assert "~ faq.json:" in text
    page = project.path / text.splitlines()[-1].partition(": ")[2]
    html = page.read_text(encoding="utf-8")
    assert "<svg" in html
    assert "&lt;b&gt;其他&lt;/b&gt;" in html
    assert json.loads((page.parent / "summary.json").read_text())["changed"]["train"] == 20
    assert project.git("status", "--porcelain") == before == ""


def test_a_difference_is_for_scripts(project: Versioned) -> None:
    answer = read(project, "diff", "support", "HEAD~1", "HEAD", "--examples", "2")
    assert answer["differs"] is True
    assert answer["moved"] == [{"from": "test", "to": "train", "dialogues": 1}]
    assert [len(answer["examples"][kind]) for kind in ("added", "removed", "changed")] == [1, 1, 2]
    (added,) = answer["examples"]["added"]
    assert added["origin"] == "faq.json:40"
    risen = {word["word"]: word["before"] for word in answer["drift"]["more"]}
    assert risen["其"] == 0.0
    assert [word["word"] for word in answer["drift"]["less"]] == ["word"]
    assert answer["drift"]["vocabulary_drift"] > 0.1


def test_nothing_differs(project: Versioned) -> None:
    assert "Nothing differs." in shown(project, "diff", "support")
    answer = read(project, "diff", "support", "HEAD", "HEAD")
    assert (answer["differs"], answer.get("page")) == (False, None)


def test_what_is_not_there_is_named(project: Versioned) -> None:
    assert "bank: no version of it" in refused(project, "--domain", "bank")
    assert "nonsense: no such commit" in refused(project, "diff", "support", "nonsense")
    assert "no remote `s3`; there are folder" in refused(project, "--remote", "s3")


def test_help_has_examples(project: Versioned) -> None:
    assert "Example: perennial data --domain support" in data(project, "--help").stdout
    assert "Example: perennial data diff support HEAD~1" in data(project, "diff", "-h").stdout
