"""What the README says exists, does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from dialogue.config import Params
from perennial.app import application

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MADE_BY_RUNS = {"mlruns/"}


def tree() -> list[str]:
    block = README.split("## The tree")[1].split("```")[1]
    paths: list[str] = []
    folder = ""
    for line in block.strip().splitlines():
        names = re.match(r"( {0,2})((?:[\w.]+/?[ ]?)+?)(?:\s{2,}|$)", line)
        if names is None:
            continue
        indent, listed = names.groups()
        for name in listed.split():
            if indent:
                paths.append(folder + name)
            else:
                folder = name
                paths.append(name)
    return paths


def test_the_tree_is_real() -> None:
    paths = tree()
    assert len(paths) > 50, paths
    missing = [path for path in paths if path not in MADE_BY_RUNS and not (ROOT / path).exists()]
    assert not missing


def test_the_commands_are_real() -> None:
    named = set(re.findall(r"^\| `perennial (\w+)` \|", README, re.MULTILINE))
    app = application()
    known = {command.name for command in (*app.registered_commands, *app.registered_groups)}
    assert named == known


def test_the_make_targets_are_real() -> None:
    for target in set(re.findall(r"\bmake (\w+)", README)):
        done = subprocess.run(
            ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_its_examples_of_settings_are_valid() -> None:
    own = README.split("## Your own dialogues")[1].split("```yaml")[1].split("```")[0]
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    example = yaml.safe_load(own)
    params["curriculum"] = example["curriculum"]
    params["ingest"]["sources"] |= example["ingest"]["sources"]
    assert _validated(params).candidate == "billing"
    models = README.split("## Your own base model")[1].split("```yaml")[1].split("```")[0]
    for line in models.strip().splitlines():
        params["pretrain"]["init"] = yaml.safe_load(line)["init"]
        _validated(params)


@pytest.mark.parametrize("image", re.findall(r"!\[.*?\]\((.*?)\)", README))
def test_its_pictures_are_there(image: str) -> None:
    assert (ROOT / image).stat().st_size > 10_000


def _validated(raw: dict[str, object]) -> Params:
    def tuples(value: object) -> object:
        if isinstance(value, dict):
            return {key: tuples(item) for key, item in value.items()}
        return tuple(map(tuples, value)) if isinstance(value, list) else value

    return Params.model_validate(tuples(raw))
