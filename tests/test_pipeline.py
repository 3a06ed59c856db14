"""The whole workflow on a tiny project, with the real DVC, GX, MLflow, Prefect and server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
CODE = ("dialogue", "flows", "perennial", "tasks", "profiles", "dvc.yaml", "params.yaml")
DOMAINS = ("weather", "kitchen")
TOPICS = {
    "weather": ("What is the weather in {}?", "It is sunny in {} today."),
    "kitchen": ("How do I cook {}?", "Boil the {} in salted water."),
    "music": ("Play {}.", "Playing {} now."),
}
STAGES = ("ingest", "validate", "encode", "finetune", "evaluate")

pytestmark = pytest.mark.pipeline


def write_source(project: Path, domain: str, number: int = 60) -> None:
    """Question and answer about things with made-up names; every one is different."""
    ask, reply = TOPICS[domain]
    syllables = ("ba", "ko", "mi", "nu", "re", "so", "ta", "vi")
    lines = []
    for index in range(number):
        name = "".join(syllables[(index // 8**place) % 8] for place in range(3))
        turns = [("user", ask.format(name)), ("assistant", reply.format(name))]
        messages = [{"role": role, "content": text} for role, text in turns]
        lines.append(json.dumps({"messages": messages}))
    (project / "sources").mkdir(exist_ok=True)
    (project / "sources" / f"{domain}.jsonl").write_text("\n".join(lines) + "\n")


def source(domain: str) -> dict[str, Any]:
    return {
        "kind": "file",
        "path": f"sources/{domain}.jsonl",
        "format": "messages",
        "licence": "CC0-1.0",
        "limit": None,
    }


def write_params(project: Path) -> None:
    """The tiny profile over dialogues that need no network, with rules that two layers can pass."""
    command = [sys.executable, "-m", "perennial", "profile", "tiny"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["curriculum"] = {
        "weather": {"after": "base"},
        "kitchen": {"after": "weather"},
    }
    params["ingest"]["sources"] = {domain: source(domain) for domain in DOMAINS}
    text = source("weather") | {"format": "text", "path": "sources/text.txt"}
    params["gather"]["sources"] = [text]
    # Enough to say something: the smoke test refuses a model that answers with nothing.
    params["finetune"]["freeze"]["top_layers"] = None
    params["finetune"]["training"]["epochs"] = 20.0
    params["promote"]["smoke_prompts"] = [TOPICS[domain][0].format("bako") for domain in DOMAINS]
    params["gate"]["rules"] = [
        {
            "name": "better than the base",
            "metric": "gain_over_base",
            "slice": "each",
            "kind": "bound",
            "min": 0.0,
        },
        {
            "name": "learns the target",
            "metric": "bits_per_byte",
            "slice": "target",
            "kind": "superiority",
        },
    ]
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def new_project(folder: Path) -> Path:
    folder.mkdir()
    for name in CODE:
        origin = ROOT / name
        if origin.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(origin, folder / name, ignore=ignored)
        else:
            shutil.copy(origin, folder / name)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache"))
    shutil.copy(ROOT / ".dvcignore", folder)
    shutil.copy(ROOT / ".gitignore", folder)
    for domain in TOPICS:
        write_source(folder, domain)
    (folder / "sources" / "text.txt").write_text(
        "\n\n".join(f"Paragraph {n} is about the number {n} and about {n * n}." for n in range(80))
    )
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    write_params(folder)
    return folder


def environment(**more: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "DVC_", "PERENNIAL_"))
    }
    return kept | {"PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "120"} | more


def command(project: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(words),
        cwd=project,
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def succeed(project: Path, *words: str, **more: str) -> str:
    done = command(project, *words, **more)
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def perennial_run(project: Path, server: str) -> str:
    return succeed(project, "perennial", "run", PREFECT_API_URL=server)


def ran(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after its first `perennial run`, which had a server of its own."""
    folder = new_project(tmp_path_factory.mktemp("pipeline") / "project")
    output = succeed(folder, "perennial", "run")
    assert "v1 (new) is the new champion" in output, output
    return folder


def verdict(project: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((project / "reports" / "verdict.json").read_text())
    return loaded


def test_the_first_run_leaves_a_champion_and_says_why(project: Path) -> None:
    assert verdict(project)["verdict"] == "PROMOTE"
    assert verdict(project)["champion"] is None
    status = succeed(project, "perennial", "status")
    assert "v1" in status
    for domain in DOMAINS:
        assert list((project / "reports" / "validate" / domain).rglob("*.html")), "no Data Docs"


def test_every_stage_has_a_run_under_one_parent(project: Path) -> None:
    script = (
        "import mlflow, json; runs = mlflow.search_runs(search_all_experiments=True, "
        "output_format='list'); print(json.dumps([(r.info.run_name, "
        "r.data.tags.get('mlflow.parentRunId'), r.info.status, len(r.data.params)) for r in runs]))"
    )
    runs = json.loads(succeed(project, "python", "-c", script).splitlines()[-1])
    parents = [name for name, parent, _, _ in runs if parent is None]
    stages = {name for name, parent, _, _ in runs if parent is not None}
    assert len(parents) == 1
    assert stages == {f"{s}@{d}" for s in STAGES for d in DOMAINS} | {
        "gather",
        "pretrain",
        "gate",
        "report",
        "register",
    }
    assert {status for _, _, status, _ in runs} == {"FINISHED"}
    assert all(number > 0 for _, parent, _, number in runs if parent is not None)


def test_the_champion_answers_a_chat_through_mlflow(project: Path) -> None:
    script = (
        "import mlflow; model = mlflow.pyfunc.load_model('models:/perennial@champion'); "
        "print(model.predict({'messages': [{'role': 'user', 'content': 'Hello'}]}))"
    )
    output = succeed(project, "python", "-c", script, MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false")
    assert "assistant" in output
    pickles = [p for p in project.rglob("*") if p.suffix in (".pkl", ".pickle", ".pt", ".bin")]
    assert not [p for p in pickles if "encoded" not in p.parts and "memory" not in p.parts], pickles


def test_a_second_run_runs_nothing_and_registers_nothing(project: Path, server: str) -> None:
    before = (project / "dvc.lock").read_bytes()
    output = perennial_run(project, server)
    assert "Nothing was stale" in output
    assert "v1 is champion" in output
    assert (project / "dvc.lock").read_bytes() == before
    assert ran(succeed(project, "dvc", "repro")) == []


def test_dvc_alone_reaches_the_same_verdict_and_then_the_flow_runs_nothing(
    project: Path, server: str, tmp_path: Path
) -> None:
    """All stages of the second domain anew, in a project that has no release."""
    kept = shutil.ignore_patterns("mlflow.db*", "mlruns", "releases.db*", ".prefect")
    other = shutil.copytree(project, tmp_path / "other", symlinks=True, ignore=kept)
    # Python reads sitecustomize first: in this environment nothing can import Prefect.
    blocked = tmp_path / "blocked" / "prefect"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('Prefect was imported')\n")
    anew = ("--force", "--downstream", "ingest@kitchen")
    output = succeed(other, "dvc", "repro", *anew, PYTHONPATH=str(blocked.parent))
    assert len(ran(output)) == len(STAGES) + 2
    same = ("verdict", "sentence", "candidate", "champion", "exam_digest", "rules", "metrics")
    assert [verdict(other)[key] for key in same] == [verdict(project)[key] for key in same]
    locks = [yaml.safe_load((p / "dvc.lock").read_text()) for p in (other, project)]
    assert locks[0]["stages"]["gate"]["deps"] == locks[1]["stages"]["gate"]["deps"]
    output = perennial_run(other, server)
    assert "Nothing was stale" in output
    assert "v1 (new) is the new champion" in output


def test_editing_the_gates_reruns_the_gate_and_what_its_verdict_changes(project: Path) -> None:
    gates = project / "dialogue" / "gates.py"
    gates.write_text(gates.read_text() + "\n# edited\n")
    assert ran(succeed(project, "dvc", "repro")) == ["gate"]
    params = yaml.safe_load((project / "params.yaml").read_text())
    before = params["gate"]["alpha"]
    params["gate"]["alpha"] = before / 2
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    assert ran(succeed(project, "dvc", "repro")) == ["gate", "report"]
    params["gate"]["alpha"] = before
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    succeed(project, "dvc", "repro")


def test_editing_the_card_reruns_the_report_only(project: Path, server: str) -> None:
    style = project / "dialogue" / "card" / "style.css"
    style.write_text(style.read_text() + "h1 { letter-spacing: 0.01em; }\n")
    output = perennial_run(project, server)
    assert "1 stages ran" in output, output
    assert "v1 is champion" in output, output
    assert "Report card: reports/card.html" in output, output


def test_the_report_card_is_found_on_disk_and_with_the_version(project: Path) -> None:
    page = (project / "reports" / "card.html").read_text()
    card = json.loads((project / "reports" / "card.json").read_text())
    assert card["sentence"] == verdict(project)["sentence"]
    assert card["sentence"].removeprefix("PROMOTE: ") in page
    assert card["samples"]
    assert card["lifelong"]["learned"] == ["base", *DOMAINS]
    script = (
        "import mlflow; client = mlflow.MlflowClient(); "
        "version = client.get_model_version_by_alias('perennial', 'champion'); "
        "uri = client.get_model_version_download_uri('perennial', version.version); "
        "print(mlflow.artifacts.download_artifacts(uri + '/card.html'))"
    )
    stored = Path(succeed(project, "python", "-c", script).splitlines()[-1])
    assert stored.read_text() == page


def test_a_third_domain_runs_only_its_own_stages(project: Path, server: str) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["curriculum"]["music"] = {"after": "kitchen"}
    params["ingest"]["sources"]["music"] = source("music")
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    output = perennial_run(project, server)
    lock = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    assert lock["evaluate@music"]["params"]["params.yaml"]["curriculum.music"]["against"]
    assert f"{len(STAGES) + 2} stages ran" in output, output
    assert "12 were unchanged" in output
    second = verdict(project)
    assert (
        second["champion"]
        == lock["evaluate@music"]["params"]["params.yaml"]["curriculum.music"]["against"]
    )
    compared = [rule for rule in second["rules"] if rule["kind"] == "superiority"]
    assert compared
    assert all(rule["champion_value"] is not None for rule in compared)


def test_a_failed_expectation_stops_its_chain_and_leaves_its_report(
    project: Path, server: str
) -> None:
    shutil.rmtree(project / "reports" / "validate" / "music")
    write_source(project, "music", number=5)
    before = (project / "models" / "music" / "manifest.json").read_bytes()
    done = command(project, "perennial", "run", PREFECT_API_URL=server)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "error: validate@music: music:" in done.stderr, done.stderr
    assert list((project / "reports" / "validate" / "music").rglob("*.html"))
    assert (project / "models" / "music" / "manifest.json").read_bytes() == before
    write_source(project, "music")
    output = perennial_run(project, server)
    assert "finetune@music started" not in output, output
    assert "v2 is champion" in output, output
