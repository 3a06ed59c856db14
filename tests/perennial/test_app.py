"""The command line as a person meets it: help, one-line errors, and what they cost."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from perennial import app
from perennial.doctor import _port
from perennial.profile import check_profile
from tasks import releases
from tasks._release_tables import open_engine
from tasks.releases import Release

ROOT = Path(__file__).parents[2]
COMMANDS = (*(name for name, *_ in app._COMMANDS), "data")


def perennial(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "PERENNIAL_"))}
    return subprocess.run(
        [sys.executable, "-m", "perennial", *words],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "110"} | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The settings, the graph and the profiles; no stage's code, for none runs here."""
    for name in ("params.yaml", "dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    ignored = shutil.ignore_patterns("tmp", "cache")
    shutil.copytree(ROOT / ".dvc", tmp_path / ".dvc", ignore=ignored)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_help_answers_at_once(tmp_path: Path) -> None:
    """In processor time, which other work on the machine does not stretch."""
    seconds = []
    for _ in range(3):
        start = processor_seconds()
        done = perennial(tmp_path, "--help")
        seconds.append(processor_seconds() - start)
        assert done.returncode == 0
    assert min(seconds) < 1.0, seconds
    assert all(name in done.stdout for name in COMMANDS)


def processor_seconds() -> float:
    """What the processes that have ended took."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(tmp_path: Path, name: str) -> None:
    done = perennial(tmp_path, name, "--help")
    assert done.returncode == 0
    assert f"Example: perennial {name}" in done.stdout


def test_looking_loads_no_heavy_library(project: Path) -> None:
    script = (
        "import sys; sys.argv = ['perennial', 'status']; from perennial.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'transformers', 'mlflow', 'prefect') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "There is no champion yet" in done.stdout
    assert "19 of 19 stages are stale" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_mistyped_setting_is_named(project: Path) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("learning_rate:", "learning_rte:", 1))
    done = perennial(project, "run")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: params.yaml: `pretrain.training.learning_rate` is missing; add it",
        (
            "error: params.yaml: `pretrain.training.learning_rte` is no setting; "
            "remove it or correct its spelling"
        ),
    ]


def test_not_the_projects_folder(tmp_path: Path) -> None:
    assert "no dvc.yaml here" in refused(perennial(tmp_path, "run"))


def test_not_a_git_repository(project: Path) -> None:
    shutil.rmtree(project / ".git")
    assert "not a git repository; run `git init`" in refused(perennial(project, "run"))


@pytest.mark.parametrize(
    "words", [["serve"], ["chat"], ["rollback", "--reason", "x"]], ids=lambda words: words[0]
)
def test_no_champion_yet(project: Path, words: list[str]) -> None:
    assert "there is no champion yet" in refused(perennial(project, *words))


def test_a_port_in_use(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port}" in refused(perennial(project, "serve", "--port", port))


def test_what_is_not_there(project: Path) -> None:
    assert "no version is registered yet" in refused(perennial(project, "promote"))
    assert "`x` is no version" in refused(perennial(project, "rollback", "--to=x", "--reason=y"))
    assert "no such version" in refused(perennial(project, "trace", "v7"))
    assert "is no version" in refused(perennial(project, "trace", "9" * 20))
    assert "no such reply" in refused(perennial(project, "trace", "chatcmpl-1"))
    profile = refused(perennial(project, "profile", "huge"))
    assert "no profile `huge`; there are default, scratch, tiny" in profile
    assert "no profile `../params`" in refused(perennial(project, "profile", "../params"))


def test_options_that_would_be_ignored(project: Path) -> None:
    chat = refused(perennial(project, "chat", "--url", "http://127.0.0.1:9", "--model", "folder"))
    assert "--url and --model" in chat
    assert "before `diff`" in refused(perennial(project, "data", "--json", "diff", "support"))


def test_a_prefect_server_that_does_not_answer(project: Path) -> None:
    url = "http://127.0.0.1:9/api"
    assert f"nothing answers at {url}" in refused(perennial(project, "run", PREFECT_API_URL=url))


def test_profiles_switch_there_and_back_without_a_trace(project: Path) -> None:
    params = project / "params.yaml"
    assert perennial(project, "profile", "default").returncode == 0
    default = params.read_text()
    for name in ("tiny", "scratch"):
        done = perennial(project, "profile", name)
        assert done.returncode == 0, done.stderr
        assert re.search(rf"^  profile: \w+ → {name}$", done.stdout, re.MULTILINE)
        assert f"profile: {name}\n" in params.read_text()
        assert "# What is learned, in which order." in params.read_text()
    assert perennial(project, "profile", "default").returncode == 0
    assert params.read_text() == default


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tny", "no profile `tny`; there are default, scratch, tiny"),
        ("scratch", "the values are those of default; `perennial profile scratch` writes"),
    ],
)
def test_a_profile_that_is_only_written_down(project: Path, name: str, said: str) -> None:
    params = project / "params.yaml"
    params.write_text(re.sub(r"^profile: .*$", f"profile: {name}", params.read_text(), flags=re.M))
    assert said in refused(perennial(project, "run"))


def test_a_profile_fits_a_project_without_the_domains_of_the_default(project: Path) -> None:
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["ingest"]["sources"] = {"billing": params["ingest"]["sources"]["support"]}
    params["curriculum"] = {"billing": {"after": "base"}}
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    done = perennial(project, "profile", "tiny")
    assert done.returncode == 0, done.stderr
    assert list(yaml.safe_load(path.read_text())["ingest"]["sources"]) == ["billing"]
    check_profile(project, "tiny")


def test_values_of_ones_own_are_welcome_in_every_profile(project: Path) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("max_tokens: 192", "max_tokens: 160", 1))
    check_profile(project, "default")
    check_profile(project, "tiny")


def test_a_file_that_is_not_there_is_named_first(tmp_path: Path) -> None:
    line = refused(perennial(tmp_path, "score", "none.jsonl"))
    assert line == "error: none.jsonl: No such file or directory"


def test_doctor_says_what_is_missing_and_how_to_mend_it(project: Path) -> None:
    done = perennial(project, "doctor")
    assert done.returncode == 1
    assert "✗ packages     no requirements.lock" in done.stdout
    assert "→ restore it from git" in done.stdout
    shutil.copy(ROOT / "requirements.lock", project)
    lock = project / "requirements.lock"
    lock.write_text(
        lock.read_text()
        + "no-such-package==1.0\n"
        + 'for-another-python==1.0 ; python_version < "3.0"  # is not asked for here\n'
    )
    found = perennial(project, "doctor").stdout
    assert "packages     no-such-package absent, not 1.0\n" in found


def test_doctor_looks_for_the_champion_where_the_releases_are(project: Path) -> None:
    elsewhere = f"sqlite:///{project / 'elsewhere.db'}"
    champion(project, elsewhere)
    found = perennial(project, "doctor", PERENNIAL_RELEASES_URL=elsewhere).stdout
    assert f"champion     {project / 'model'}" in found
    found = perennial(project, "doctor", PERENNIAL_RELEASES_URL="sqlite:////no/such.db").stdout
    assert "✗ champion     (sqlite3.OperationalError) unable to open database file" in found
    assert "correct PERENNIAL_RELEASES_URL" in found
    assert "– champion     there is none yet" in perennial(project, "doctor").stdout
    assert not (project / releases.DATABASE).exists()


def test_doctor_goes_on_where_a_store_cannot_be_used(project: Path) -> None:
    (project / releases.DATABASE).write_text("no database, but words")
    done = perennial(project, "doctor", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (1, "")
    assert "✗ store        releases.db: file is not a database" in done.stdout
    assert "✗ champion     (sqlite3.DatabaseError) file is not a database" in done.stdout
    assert (
        "✗ mlflow       MLFLOW_TRACKING_URI: nothing answers at http://127.0.0.1:9" in done.stdout
    )


def test_doctor_goes_on_where_a_host_cannot_be_a_name() -> None:
    found = _port("a..b", 8100)
    assert (found.state, found.mend) == ("missing", "correct `serve.host` in params.yaml")


def test_doctor_says_what_the_system_says_of_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = _port("127.0.0.1", taken.getsockname()[1])
    assert (found.state, found.found.split()[0]) == ("note", "somebody")
    # An address for documentation, no machine's own.
    found = _port("203.0.113.1", 0)
    assert found.state == "missing"
    assert found.found.startswith(f"203.0.113.1:0: {os.strerror(errno.EADDRNOTAVAIL)}")


@pytest.mark.parametrize("words", [["status"], ["data", "--json"]], ids=" ".join)
def test_closed_streams_lead_nowhere(project: Path, words: list[str]) -> None:
    command = [sys.executable, "-m", "perennial", *words]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- <&-', "sh", *command],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def champion(project: Path, url: str) -> None:
    """A champion in the release store at `url`, whose folder is missing."""
    store = releases.Store(project, open_engine(url))
    release = Release("c" * 64, 1, project / "model", "run", {"sentence": "PROMOTE."})
    releases.record(store, release)
    releases.compare_and_set(store, None, release, action="promote", actor="ana", reason="")
