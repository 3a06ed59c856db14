"""The laws of the layout, each a test."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

ROOT = Path(__file__).parents[1]
STAGES = (
    "ingest",
    "validate",
    "gather",
    "encode",
    "pretrain",
    "finetune",
    "evaluate",
    "gate",
    "report",
)
ACTS = ("register", "promote", "serve", "feedback")
DOORS = {"mlflow": "tasks", "great_expectations": "tasks", "dvc": "tasks", "prefect": "flows"}


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "perennial", "flows", "tasks", "dialogue", include_external_packages=True
    )


def pipeline() -> dict[str, Any]:
    stages: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


def imports_of(module: str) -> set[str]:
    """Every module of ours that `module` imports, directly or not."""
    ours = ("perennial", "flows", "tasks", "dialogue")
    return {m for m in graph().find_upstream_modules(module) if m.split(".")[0] in ours}


def test_layers_point_one_way() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_steps_that_run_no_model_start_without_torch() -> None:
    """Importing it and transformers' models takes longer than what these steps do with little."""
    steps = [
        f"tasks.{name}" for name in ("ingest", "validate", "gather", "encode", "gate", "report")
    ]
    script = f"import sys, {', '.join(steps)}; print('torch' in sys.modules)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_public_steps_never_import_one_another() -> None:
    steps = {f"tasks.{name}" for name in (*STAGES, *ACTS)}
    for step in steps:
        direct = graph().find_modules_directly_imported_by(step)
        assert not direct & steps, f"{step} imports {direct & steps}"


@pytest.mark.parametrize(("service", "folder"), DOORS.items())
def test_each_service_has_its_doors(service: str, folder: str) -> None:
    importers = graph().find_modules_that_directly_import(service)
    assert importers, f"nothing imports {service}: has this test gone blind?"
    assert all(name.split(".")[0] == folder for name in importers), importers
    if folder == "tasks":
        assert importers <= DOOR_MODULES[service], importers


DOOR_MODULES = {
    "mlflow": {"tasks.tracking", "tasks.registry", "tasks.chat_model"},
    "great_expectations": {"tasks.expectations"},
    "dvc": {"tasks.graph", "tasks.storage"},
}


def test_dvc_repro_never_imports_prefect() -> None:
    for stage in STAGES:
        assert "prefect" not in graph().find_upstream_modules(f"tasks.{stage}")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_it_runs(stage: str) -> None:
    """Nothing it imports is missing among its deps, and no code is there that it does not use."""
    deps = [d for d in pipeline()[stage]["deps"] if d.startswith(("tasks/", "dialogue/"))]
    files = {source_file(module) for module in (*imports_of(f"tasks.{stage}"), f"tasks.{stage}")}
    # A package's __init__ counts where it holds more than a docstring.
    files = {f for f in files if f.name != "__init__.py" or is_code(f)}
    names = {str(f.relative_to(ROOT)) for f in files}
    uncovered = {n for n in names if not any(n == d or n.startswith(d + "/") for d in deps)}
    unused = {d for d in deps if not any(n == d or n.startswith(d + "/") for n in names)}
    assert not uncovered, f"dvc.yaml: {stage} misses {sorted(uncovered)}"
    assert not unused, f"dvc.yaml: {stage} does not import {sorted(unused)}"


def paths(entries: list[Any]) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def any_key(path: str) -> str:
    return re.sub(r"\$\{[^}]*\}", "*", path)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_what_other_stages_made_for_it(stage: str) -> None:
    """What stands in its command and is another stage's output is among its deps."""
    outs = {
        name: paths(
            [entry for kind in ("outs", "metrics", "plots") for entry in each.get(kind, [])]
        )
        for name, each in pipeline().items()
    }
    made = {any_key(path) for each in outs.values() for path in each}
    read = [
        word
        for word in pipeline()[stage]["cmd"].split()
        if any(out == any_key(word) or out.startswith(f"{any_key(word)}/") for out in made)
        and word not in outs[stage]
    ]
    assert read or stage in ("ingest", "gather"), "has this test gone blind?"
    missing = set(read) - set(paths(pipeline()[stage]["deps"]))
    assert not missing, f"dvc.yaml: {stage} reads {sorted(missing)} and does not depend on it"


@pytest.mark.parametrize("stage", STAGES)
def test_a_step_has_one_name(stage: str) -> None:
    module = (ROOT / "tasks" / f"{stage}.py").read_text()
    assert re.search(rf"^def {stage}\(", module, re.MULTILINE)
    assert f"python -m tasks.{stage} " in " ".join(pipeline()[stage]["cmd"].split())
    assert stage in yaml.safe_load((ROOT / "params.yaml").read_text())
    assert (ROOT / "tests" / "tasks" / f"test_{stage}.py").exists()


def test_the_stages_are_the_steps() -> None:
    assert set(pipeline()) == set(STAGES)


def test_paths_of_artefacts_stand_in_dvc_yaml_only() -> None:
    artefacts = re.compile(r"""["'](data/|models/|memory/|scores/|reports/)""")
    for path in (*(ROOT / "tasks").rglob("*.py"), *(ROOT / "dialogue").rglob("*.py")):
        found = [line for line in path.read_text().splitlines() if artefacts.search(line)]
        assert not found, f"{path.relative_to(ROOT)}: {found}"


def source_file(module: str) -> Path:
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def is_code(path: Path) -> bool:
    return len(re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL).strip()) > 0


def test_what_python_compiles_is_no_dependency() -> None:
    """A folder of code among the deps must not change because it was imported."""
    from dvc.ignore import DvcIgnoreFilter
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        ignore = repo.dvcignore
        assert isinstance(ignore, DvcIgnoreFilter)
        assert ignore.is_ignored_dir(str(ROOT / "dialogue" / "sources" / "__pycache__"))
