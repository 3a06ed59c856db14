from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from dialogue.config import Finetune, Params
from dialogue.continual.memory import read_memory
from dialogue.encoding import Encoder
from dialogue.log import SilentLog
from dialogue.manifest import read_manifest, verify_manifest
from dialogue.model import load_model, save_model
from dialogue.records import Turn
from dialogue.shards import Shard, empty_shard, pack, write_shard
from dialogue.tokenization import load_tokenizer
from tasks.finetune import finetune
from tests.dialogue.test_training import Steps


def shard(tiny_model: Path, domain: str, number: int = 20) -> Shard:
    tokenizer = load_tokenizer(tiny_model)
    encoder = Encoder(tokenizer)
    turns = [
        (Turn("user", f"{domain} {n}?"), Turn("assistant", f"yes, {n}.")) for n in range(number)
    ]
    rows = [(f"{domain}-{n}", domain, encoder.dialogue(pair, 64)) for n, pair in enumerate(turns)]
    return pack(rows, len(tokenizer))


def settings(params: Params, strategy: tuple[str, ...] = ("replay",)) -> Params:
    training = params.finetune.training.model_copy(
        update={"epochs": 3.0, "learning_rate": 0.01, "precision": "fp32", "tokens_per_step": 256}
    )
    freeze = params.finetune.freeze.model_copy(update={"top_layers": 1})
    replay = params.finetune.replay.model_copy(update={"share": 0.25})
    lora = params.finetune.lora.model_copy(update={"rank": 2})
    pseudo = params.finetune.pseudo.model_copy(update={"share": 0.1, "max_new_tokens": 16})
    changed: Finetune = params.finetune.model_copy(
        update={
            "strategy": strategy,
            "training": training,
            "freeze": freeze,
            "replay": replay,
            "lora": lora,
            "pseudo": pseudo,
        }
    )
    return params.model_copy(update={"finetune": changed})


def run(
    params: Params,
    folder: Path,
    parent: Path,
    parent_memory: Path,
    domain: str,
    strategy: tuple[str, ...] = ("replay",),
    log: SilentLog | None = None,
) -> None:
    finetune(
        settings(params, strategy),
        log or SilentLog(),
        domain=domain,
        encoded=folder / "encoded" / domain,
        parent=parent,
        parent_memory=parent_memory,
        model=folder / "models" / domain,
        memory=folder / "memory" / domain,
        report=folder / f"{domain}.json",
        curve=folder / f"{domain}.csv",
        checkpoints=folder / "checkpoints" / domain,
    )


def test_two_rounds_hand_on_model_and_memory(
    params: Params, tiny_model: Path, tmp_path: Path
) -> None:
    write_shard(tmp_path / "none", empty_shard())
    for domain in ("chat", "help"):
        write_shard(tmp_path / "encoded" / domain / "train", shard(tiny_model, domain))
    run(params, tmp_path, tiny_model, tmp_path / "none", "chat")
    run(params, tmp_path, tmp_path / "models" / "chat", tmp_path / "memory" / "chat", "help")

    first, second = (json.loads((tmp_path / f"{d}.json").read_text()) for d in ("chat", "help"))
    assert first["last_loss"] < first["first_loss"]
    assert (first["num_rehearsed"], second["num_rehearsed"]) == (0, 7)
    memory = read_memory(tmp_path / "memory" / "help")
    assert set(memory.dialogues.domains) == {"chat", "help"}
    assert memory.learned == ("chat", "help")
    assert second["memory_bytes"] == memory.num_bytes
    manifest = read_manifest(tmp_path / "models" / "help")
    assert manifest["parent_digest"] == verify_manifest(tmp_path / "models" / "chat")
    assert manifest["domain"] == "help"
    assert len((tmp_path / "help.csv").read_text().splitlines()) == second["num_steps"] + 1


@pytest.mark.parametrize(
    ("strategy", "tensors"),
    [(("replay", "distill", "ewc"), "ewc/"), (("lora", "pseudo"), "lora/")],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_every_strategy_leaves_an_ordinary_model(
    params: Params, tiny_model: Path, tmp_path: Path, strategy: tuple[str, ...], tensors: str
) -> None:
    write_shard(tmp_path / "none", empty_shard())
    for domain in ("chat", "help"):
        write_shard(tmp_path / "encoded" / domain / "train", shard(tiny_model, domain))
    run(params, tmp_path, tiny_model, tmp_path / "none", "chat", strategy)
    parent, memory = tmp_path / "models" / "chat", tmp_path / "memory" / "chat"
    run(params, tmp_path, parent, memory, "help", strategy)
    names = load_model(tmp_path / "models" / "help").state_dict().keys()
    assert names == load_model(tiny_model).state_dict().keys()
    remembered = read_memory(tmp_path / "memory" / "help").tensors
    assert remembered
    assert all(name.startswith(tensors) for name in remembered)


def test_frozen_weights_are_saved_bit_equal(
    params: Params, tiny_model: Path, tmp_path: Path
) -> None:
    write_shard(tmp_path / "none", empty_shard())
    write_shard(tmp_path / "encoded" / "chat" / "train", shard(tiny_model, "chat"))
    run(params, tmp_path, tiny_model, tmp_path / "none", "chat")
    before = load_model(tiny_model).state_dict()
    after = load_model(tmp_path / "models" / "chat").state_dict()
    for name, value in before.items():
        learned = name.startswith(("model.layers.1.", "model.norm"))
        assert torch.equal(value, after[name]) != learned, name


def test_of_several_processes_the_first_writes(
    params: Params, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shard(tmp_path / "none", empty_shard())
    write_shard(tmp_path / "encoded" / "chat" / "train", shard(tiny_model, "chat"))
    monkeypatch.setattr("tasks.finetune.is_first", lambda: False)
    run(params, tmp_path, tiny_model, tmp_path / "none", "chat")
    assert {path.name for path in tmp_path.iterdir()} == {"none", "encoded", "checkpoints"}


def test_a_damaged_shard_is_named(params: Params, tiny_model: Path, tmp_path: Path) -> None:
    write_shard(tmp_path / "none", empty_shard())
    folder = tmp_path / "encoded" / "chat" / "train"
    write_shard(folder, shard(tiny_model, "chat"))
    tokens = np.fromfile(folder / "tokens.bin", dtype=np.uint16)
    tokens[3] ^= 1
    tokens.tofile(folder / "tokens.bin")
    with pytest.raises(ValueError, match=r"tokens\.bin: missing or damaged"):
        run(params, tmp_path, tiny_model, tmp_path / "none", "chat")


def test_what_was_learned_stays_until_all_is_told(
    params: Params, tiny_model: Path, tmp_path: Path
) -> None:
    """A tracker that is away at the very end costs no step."""

    class Away(Steps):
        def tags(self, values: Mapping[str, str]) -> None:
            raise ConnectionError

    write_shard(tmp_path / "none", empty_shard())
    write_shard(tmp_path / "encoded" / "chat" / "train", shard(tiny_model, "chat"))
    training = params.finetune.training.model_copy(update={"checkpoint_seconds": 1e-6})
    often = params.model_copy(
        update={"finetune": params.finetune.model_copy(update={"training": training})}
    )
    parents = (tiny_model, tmp_path / "none", "chat")
    with pytest.raises(ConnectionError):
        run(often, tmp_path, *parents, log=Away())
    log = Steps()
    run(often, tmp_path, *parents, log=log)
    assert log.steps == []
    assert (tmp_path / "chat.json").exists()
    assert not (tmp_path / "checkpoints" / "chat").exists()


def test_a_loss_that_is_not_finite_leaves_no_model(
    params: Params, tiny_model: Path, tmp_path: Path
) -> None:
    broken, tokenizer = load_model(tiny_model), load_tokenizer(tiny_model)
    with torch.no_grad():
        broken.base_model.norm.weight.fill_(float("nan"))
    save_model(broken, tokenizer, tmp_path / "broken", domain="base")
    write_shard(tmp_path / "none", empty_shard())
    write_shard(tmp_path / "encoded" / "chat" / "train", shard(tiny_model, "chat"))
    with pytest.raises(ValueError, match=r"stopped at step 1: loss nan.*batch of dialogues chat-"):
        run(params, tmp_path, tmp_path / "broken", tmp_path / "none", "chat")
    for name in ("models", "memory", "chat.json", "chat.csv"):
        assert not (tmp_path / name).exists()
