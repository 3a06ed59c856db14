from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dialogue.config import ScratchModel, load_params

ROOT = Path(__file__).parents[2]
PARAMS = ROOT / "params.yaml"


def changed(tmp_path: Path, path: str, value: Any) -> Path:
    """params.yaml with one value set; a value of None removes the key."""
    settings = yaml.safe_load(PARAMS.read_text())
    *parents, last = path.split(".")
    section = settings
    for parent in parents:
        section = section[parent]
    if value is None:
        del section[last]
    else:
        section[last] = value
    copy = tmp_path / "params.yaml"
    copy.write_text(yaml.safe_dump(settings, sort_keys=False))
    return copy


def test_the_default_is_valid() -> None:
    params = load_params(PARAMS)
    assert params.candidate == "assistant"
    assert params.lineage("assistant") == ("chitchat", "support", "assistant")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("finetune.stratgy", "replay", r"`finetune.stratgy` is no setting.*spelling"),
        ("finetune.strategy", "reply", r"finetune.strategy: no strategy is called 'reply'"),
        ("finetune.strategy", None, r"`finetune.strategy` is missing"),
        (
            "finetune.strategy",
            "distill",
            r"`distill` would teach nothing: add `replay` or `pseudo`",
        ),
        ("finetune.replay.share", 0.0, r"`distill` would teach nothing: add `replay` or `pseudo`"),
        ("finetune.training.epochs", float("inf"), r"`finetune.training.epochs` is inf"),
        ("finetune.training.seed", -1, r"`finetune.training.seed` is -1.*greater than or equal to"),
        ("gate.alpha", 2, r"`gate.alpha` is 2.*less than 1"),
        ("gate.rules", [], r"`gate.rules`.*at least 1"),
        (
            "curriculum.chitchat.after",
            "assistant",
            r"chitchat: `after` goes round.* come after `base`",
        ),
        ("curriculum.support.after", "banking", r"`after: banking` names no domain"),
        ("curriculum.banking", {"after": "support"}, r"no source for the domain `banking`"),
        ("curriculum.instructions", {"after": "support"}, r"`instructions` names an exam of every"),
        ("curriculum.text", {"after": "support"}, r"`text` names the fingerprints of pretraining"),
        (
            "curriculum.tokenizer",
            {"after": "support"},
            r"`tokenizer` names the .*call .* otherwise",
        ),
        ("ingest.sources.support.sha256", "abc", r"sha256"),
        ("ingest.sources.support.kind", "weel", r"support.kind` is 'weel'; use one of 'file',"),
        ("ingest.sources.support.kind", None, r"`ingest.sources.support.kind` is missing; add it"),
        ("validate.domains.support", ["x " * 200], r"`validate.domains.support` is .{,125}: Input"),
        ("serve.port", 99_999, r"`serve.port` is 99999"),
    ],
)
def test_a_wrong_setting_is_named_with_its_mend(
    tmp_path: Path, path: str, value: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        load_params(changed(tmp_path, path, value))


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "No", "OFF"])
def test_labels_may_be_called_as_yaml_calls_truth_values(tmp_path: Path, word: str) -> None:
    path = changed(tmp_path, "ingest.sources.support.labels", {"WORD": "word"})
    path.write_text(path.read_text().replace("WORD", word))
    labels = load_params(path).ingest.sources["support"].labels
    assert labels == {word: "word"}


def test_labels_that_are_truth_values_are_in_lower_case(tmp_path: Path) -> None:
    path = changed(tmp_path, "ingest.sources.support.labels", {True: "so", False: "not", 2: "two"})
    path.write_text(path.read_text().replace("false: not", "False: not"))
    labels = load_params(path).ingest.sources["support"].labels
    assert labels == {"true": "so", "false": "not", "2": "two"}


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    path = changed(tmp_path, "gate.alpha", 2)
    path.write_text(path.read_text().replace("port: 8100", "port: many"))
    with pytest.raises(ValueError, match="alpha") as raised:
        load_params(path)
    assert "serve.port" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 2


def test_no_file_and_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes("profile: caf\xe9".encode("latin-1"))
    with pytest.raises(ValueError, match=r"params.yaml: not UTF-8 at byte 12; save it as UTF-8"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1")
    with pytest.raises(ValueError, match="not valid YAML"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(ValueError, match="expected sections, found nothing; restore it"):
        load_params(tmp_path / "params.yaml")


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Settings by dotted path; sources and rules count as one value."""
    if not isinstance(value, dict) or "kind" in value:
        return {path: value}
    return {
        name: leaf
        for key, item in value.items()
        for name, leaf in leaves(item, f"{path}.{key}" if path else key).items()
    }


def test_every_profile_sets_the_same_values_and_the_default_is_params_yaml() -> None:
    profiles = {
        path.stem: leaves(yaml.safe_load(path.read_text()))
        for path in (ROOT / "profiles").glob("*.yaml")
    }
    assert set(profiles) == {"default", "scratch", "tiny"}
    names = {profile: set(values) for profile, values in profiles.items()}
    assert names["scratch"] == names["default"] == names["tiny"]
    settings = yaml.safe_load(PARAMS.read_text())
    for path, value in profiles["default"].items():
        found = settings
        for key in path.split("."):
            found = found[key]
        assert found == value, path


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("ingest.sources.chitchat.members", None, "`ingest.sources.chitchat.members` is missing"),
        ("ingest.sources.chitchat.pth", "x", "`ingest.sources.chitchat.pth` is no setting"),
        ("pretrain.init.member", None, "`pretrain.init.member` is missing"),
    ],
)
def test_a_field_is_named_as_it_stands_in_the_file(
    tmp_path: Path, field: str, value: Any, told: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        load_params(changed(tmp_path, field, value))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_heads": 5}, "num_heads: 5 heads cannot share a hidden_size of 32"),
        ({"num_heads": 32}, "in equal and even parts"),
        ({"num_heads": 4, "num_key_value_heads": 3}, "num_key_value_heads: 3 cannot be shared"),
    ],
)
def test_heads_that_do_not_fit_are_refused(
    tiny_settings: ScratchModel, changes: dict[str, int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        ScratchModel.model_validate(tiny_settings.model_dump() | changes)
