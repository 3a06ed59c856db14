from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dialogue.config import Params, Pretrain
from dialogue.log import SilentLog
from dialogue.manifest import verify_manifest, write_manifest
from dialogue.model import load_model
from dialogue.records import read_dialogues
from dialogue.scores import read_scores
from dialogue.shards import open_shard
from dialogue.texts import Text, write_texts
from dialogue.tokenization import load_tokenizer
from tasks.pretrain import pretrain
from tests.dialogue.test_training import Killed, Steps

SECTION = """
init: {kind: scratch, vocabulary_size: 320, hidden_size: 32, intermediate_size: 64, num_layers: 2,
       num_heads: 2, num_key_value_heads: 1, max_position_embeddings: 256}
block_tokens: 48
held_out_share: 0.2
max_tokens: 4000
freeze: {top_layers: null, embeddings: false, norms: false}
training: {epochs: 2.0, learning_rate: 0.01, warmup_share: 0.1, weight_decay: 0.0,
           gradient_clip: 1.0, tokens_per_step: 512, tokens_per_batch: 512,
           min_steps: 1, checkpoint_seconds: 60.0, precision: fp32, compile: never,
           frozen_cache: auto, patience: 0, seed: 1}
"""


def run(params: Params, folder: Path, text: str, **changes: Any) -> dict[str, float]:
    write_texts(folder / "text" / "text.parquet", [Text("0" * 16, text, "a book", "CC0-1.0")])
    write_manifest(folder / "text")
    return pretrained(params, folder, **changes)


def pretrained(
    params: Params, folder: Path, log: SilentLog | None = None, **changes: Any
) -> dict[str, float]:
    section = yaml.safe_load(SECTION) | changes
    settings = params.model_copy(update={"pretrain": Pretrain.model_validate(section)})
    pretrain(
        settings,
        log or SilentLog(),
        text=folder / "text",
        model=folder / "base",
        tokenizer=folder / "tokenizer",
        memory=folder / "memory",
        scores=folder / "scores",
        report=folder / "report.json",
        curve=folder / "curve.csv",
        checkpoints=folder / "checkpoints",
    )
    figures: dict[str, float] = json.loads((folder / "report.json").read_text())
    return figures


TEXT = "\n\n".join(
    f"This is paragraph {n}: the square of {n} is {n * n}. " * 12 for n in range(150)
)


def test_a_model_from_nothing_learns_to_read(params: Params, tmp_path: Path) -> None:
    figures = run(params, tmp_path, TEXT)
    assert figures["bits_per_byte_after"] < 0.8 * figures["bits_per_byte_before"]
    digest = verify_manifest(tmp_path / "base")
    assert load_tokenizer(tmp_path / "base").get_vocab() == (
        load_tokenizer(tmp_path / "tokenizer").get_vocab()
    )
    assert len(open_shard(tmp_path / "memory")) == 0
    exam = {dialogue.id for dialogue in read_dialogues(tmp_path / "scores" / "exam.parquet")}
    scores = read_scores(tmp_path / "scores" / "rows.parquet")
    assert {score.dialogue_id for score in scores} == exam
    assert {score.model_digest for score in scores} == {digest}
    assert len(exam) == figures["num_held_out"]
    licences = {d.licence for d in read_dialogues(tmp_path / "scores" / "exam.parquet")}
    assert licences == {"CC0-1.0"}


def test_it_goes_on_from_a_folder(params: Params, tmp_path: Path, tiny_model: Path) -> None:
    init = {"kind": "folder", "path": str(tiny_model), "licence": "CC0-1.0"}
    freeze = {"top_layers": 1, "embeddings": True, "norms": False}
    run(params, tmp_path, TEXT, init=init, freeze=freeze)
    before, after = load_model(tiny_model), load_model(tmp_path / "base")
    same = {
        name: torch.equal(parameter, dict(after.named_parameters())[name])
        for name, parameter in before.named_parameters()
    }
    assert same["model.embed_tokens.weight"]
    assert same["model.layers.0.mlp.up_proj.weight"]
    assert not same["model.layers.1.mlp.up_proj.weight"]


@pytest.mark.parametrize(("alpha", "first_step"), [(4, 3), (8, 1)])
def test_a_killed_run_goes_on_with_the_same_adapters_only(
    params: Params, tmp_path: Path, alpha: int, first_step: int
) -> None:
    """Alpha is no parameter: it weighs what the adapters say."""
    training = yaml.safe_load(SECTION)["training"] | {"checkpoint_seconds": 1e-6}
    killed, freeze = Steps(last=2), {"top_layers": None, "embeddings": False, "norms": False}
    adapted = freeze | {"lora": {"rank": 2, "alpha": 4}}
    with pytest.raises(Killed):
        run(params, tmp_path, TEXT, log=killed, training=training, freeze=adapted)
    log, adapted = Steps(), freeze | {"lora": {"rank": 2, "alpha": alpha}}
    run(params, tmp_path, TEXT, log=log, training=training, freeze=adapted)
    assert log.steps[0] == first_step


def test_a_folder_that_is_not_there_is_named(params: Params, tmp_path: Path) -> None:
    init = {"kind": "folder", "path": str(tmp_path / "nowhere"), "licence": "MIT"}
    with pytest.raises(ValueError, match=r"pretrain\.init: .*nowhere: no such folder"):
        run(params, tmp_path, TEXT, init=init)


def test_of_several_processes_the_first_writes(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_texts(tmp_path / "text" / "text.parquet", [Text("0" * 16, TEXT, "a book", "CC0-1.0")])
    write_manifest(tmp_path / "text")
    monkeypatch.setattr("tasks.pretrain.is_first", lambda: False)
    with pytest.raises(FileNotFoundError, match=r"report\.json"):
        pretrained(params, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_damaged_text_is_noticed_before_it_is_learned(params: Params, tmp_path: Path) -> None:
    run(params, tmp_path, TEXT)
    path = tmp_path / "text" / "text.parquet"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"text\.parquet: damaged"):
        pretrained(params, tmp_path)


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "none is held out; raise it"), (1.0, "none is left to learn from")]
)
def test_text_that_is_all_of_one_part_is_refused(
    params: Params, tmp_path: Path, share: float, said: str
) -> None:
    with pytest.raises(ValueError, match=rf"pretrain\.held_out_share: of \d+ pages .*{said}"):
        run(params, tmp_path, TEXT, held_out_share=share)
