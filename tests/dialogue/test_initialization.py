from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dialogue.config import FolderModel
from dialogue.initialization import initial_model
from dialogue.tokenization import load_tokenizer
from tasks.faults import is_for_people


def describe(folder: Path, **config: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: describe(folder, model_type="foo"), "does not recognize"),
        (lambda folder: describe(folder, model_type="t5"), "Unrecognized configuration"),
        (lambda folder: describe(folder, hidden_size=8, intermediate_size=8), "mismatched"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"xx"), "deserializing"),
        (lambda folder: (folder / "config.json").unlink(), "Unrecognized model"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer"),
    ],
    ids=["unknown type", "no decoder", "other sizes", "damaged", "no config", "no tokenizer"],
)
def test_a_folder_without_a_base_model_is_for_the_person_who_named_it(
    tiny_model: Path, tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "manifest.json").unlink(missing_ok=True)
    spoil(folder)
    source = FolderModel(kind="folder", path=str(folder), licence="MIT")
    with pytest.raises(ValueError, match=said) as raised:
        initial_model(source, [], seed=1)
    assert str(raised.value).startswith(f"pretrain.init: {folder}: no base model can be read: ")
    assert is_for_people(raised.value)


def test_a_tokenizer_larger_than_the_model_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "manifest.json").unlink()
    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens(["<one>", "<two>"])
    tokenizer.save_pretrained(folder)
    source = FolderModel(kind="folder", path=str(folder), licence="MIT")
    with pytest.raises(ValueError, match=r"pretrain\.init: the tokenizer has \d+ tokens, and the"):
        initial_model(source, [], seed=1)
