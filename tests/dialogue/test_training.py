from __future__ import annotations

import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from dialogue import choices, early_stopping
from dialogue.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from dialogue.choices import choose
from dialogue.compilation import can_compile
from dialogue.config import Freeze, Training
from dialogue.distributed import Objective
from dialogue.early_stopping import EarlyStopping
from dialogue.encoding import Encoded
from dialogue.forward import choose_forward
from dialogue.freezing import add_adapters, freeze
from dialogue.log import SilentLog
from dialogue.manifest import verify_manifest
from dialogue.model import load_model
from dialogue.objective import Regularizer
from dialogue.packing import collate, plan_steps
from dialogue.shards import Shard, concatenate, pack
from dialogue.training import learning_rate, train, write_curve

SETTINGS = Training(
    epochs=3.0,
    learning_rate=1e-2,
    warmup_share=0.1,
    weight_decay=0.01,
    gradient_clip=1.0,
    tokens_per_step=128,
    tokens_per_batch=128,
    min_steps=1,
    checkpoint_seconds=1000.0,
    precision="fp32",
    compile="never",
    frozen_cache="never",
    patience=0,
    seed=1,
)


def examples(seed: int = 0, number: int = 24) -> Shard:
    generator = np.random.default_rng(seed)
    rows = []
    for index in range(number):
        ids = generator.integers(3, 290, int(generator.integers(4, 60)))
        mask = generator.random(len(ids)) < 0.5
        mask[-1] = True
        rows.append((f"d{index}", "chat", Encoded(ids, mask)))
    return pack(rows, 300)


def fresh(tiny_model: Path, top_layers: int | None = None) -> PreTrainedModel:
    model = load_model(tiny_model)
    freeze(model, Freeze(top_layers=top_layers, embeddings=top_layers is not None, norms=False))
    return model


LONG = plan_steps(examples().lengths, epochs=2.0, tokens_per_batch=128, tokens_per_step=128, seed=1)


class Killed(Exception):  # noqa: N818
    """What a run ends by that is killed."""


class Steps(SilentLog):
    """Remembers which steps were made; after `last` of them the run is killed."""

    def __init__(self, last: float = math.inf) -> None:
        self.last, self.steps = last, list[int]()

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        if step is not None:
            self.steps.append(step)
            if step > self.last:
                raise Killed


def run(
    model: PreTrainedModel, checkpoints: Path, log: SilentLog | None = None, **changes: Any
) -> list[dict[str, float]]:
    trained = train(
        model,
        examples(),
        SETTINGS.model_copy(update=changes),
        log or SilentLog(),
        pad_id=0,
        checkpoints=checkpoints,
        label="test",
    )
    return trained.curve


def test_it_learns(tiny_model: Path, tmp_path: Path) -> None:
    curve = run(fresh(tiny_model), tmp_path / "checkpoints", epochs=10.0)
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]


def test_equal_seeds_give_equal_weights(tiny_model: Path, tmp_path: Path) -> None:
    one, two, three = (fresh(tiny_model) for _ in range(3))
    run(one, tmp_path / "a")
    run(two, tmp_path / "b")
    run(three, tmp_path / "c", seed=2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not all(
        torch.equal(a, b) for a, b in zip(one.parameters(), three.parameters(), strict=True)
    )


def test_accumulation_equals_the_larger_batch(tiny_model: Path, tmp_path: Path) -> None:
    """One step over everything, in one batch and in many parts: the same losses and weights."""
    whole, parts = fresh(tiny_model), fresh(tiny_model)
    settings = {"epochs": 1.0, "tokens_per_step": 100_000}
    one = run(whole, tmp_path / "a", tokens_per_batch=100_000, **settings)
    many = run(parts, tmp_path / "b", tokens_per_batch=64, **settings)
    assert len(one) == len(many) == 1
    assert one[0]["loss"] == pytest.approx(many[0]["loss"], rel=1e-5)
    assert one[0]["gradient_norm"] == pytest.approx(many[0]["gradient_norm"], rel=1e-4)
    for here, there in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4)


def test_frozen_weights_stay_bit_equal(tiny_model: Path, tmp_path: Path) -> None:
    before, after = load_model(tiny_model), fresh(tiny_model, top_layers=1)
    run(after, tmp_path / "a")
    old = dict(before.named_parameters())
    for name, parameter in after.named_parameters():
        assert torch.equal(parameter, old[name]) != parameter.requires_grad, name


def test_a_loss_that_is_not_finite_stops_and_names_the_batch(
    tiny_model: Path, tmp_path: Path
) -> None:
    model = fresh(tiny_model)
    with torch.no_grad():
        model.base_model.norm.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"stopped at step 1: loss nan.*batch of dialogues d"):
        run(model, tmp_path / "a")


def test_of_a_step_the_batch_that_is_not_finite_is_named(tiny_model: Path, tmp_path: Path) -> None:
    """A token that stands in one dialogue alone, and of which nothing can be read."""
    model, everything = fresh(tiny_model), examples()
    spoilt = everything[5].ids.copy()
    spoilt[0] = 295
    shards = [everything.select(range(5)), everything.select(range(6, 24))]
    one = pack([("odd", "chat", Encoded(spoilt, everything[5].mask))], 300)

    def spoil(_module: object, inputs: tuple[torch.Tensor], read: torch.Tensor) -> torch.Tensor:
        return read.masked_fill((inputs[0] == 295)[..., None], float("nan"))

    model.get_input_embeddings().register_forward_hook(spoil)
    settings = SETTINGS.model_copy(update={"tokens_per_step": 100_000, "tokens_per_batch": 16})
    with pytest.raises(ValueError, match=r"loss nan.*batch of dialogues odd; lower"):
        train(
            model,
            concatenate([*shards, one]),
            settings,
            SilentLog(),
            pad_id=0,
            checkpoints=tmp_path,
            label="test",
        )


def test_a_gradient_that_is_not_finite_stops_and_leaves_nothing(
    tiny_model: Path, tmp_path: Path
) -> None:
    """√0 is 0, and its slope is infinite: the loss alone would not tell."""

    class Cliff(Regularizer):
        def on_step(self, parameters: Mapping[str, torch.Tensor]) -> torch.Tensor:
            return (next(iter(parameters.values())).sum() * 0).sqrt()

    before, model = fresh(tiny_model), fresh(tiny_model)
    with pytest.raises(
        ValueError, match=r"step 1: loss \d.*, gradient norm nan; batch of dialogues d"
    ):
        train(
            model,
            examples(),
            SETTINGS.model_copy(update={"checkpoint_seconds": 1e-6}),
            SilentLog(),
            pad_id=0,
            checkpoints=tmp_path / "a",
            label="test",
            regularizer=Cliff(),
        )
    assert all(map(torch.equal, before.parameters(), model.parameters()))
    assert not (tmp_path / "a").exists()


def test_what_is_not_labelled_is_read_and_not_learned(tiny_model: Path, tmp_path: Path) -> None:
    """Whatever is marked in it; and every token of the others is counted once an epoch."""

    class Unlabelled(Regularizer):
        labelled = np.arange(24) < 16

    models = []
    for marked in (1, 2):
        given = examples()
        for index in range(16, 24):
            given.stored(index)[1][marked:] = index % marked
        model = fresh(tiny_model)
        trained = train(
            model,
            given,
            SETTINGS,
            SilentLog(),
            pad_id=0,
            checkpoints=tmp_path / str(marked),
            label="test",
            rehearsed=8,
            regularizer=Unlabelled(),
        )
        wanted = sum(int(given[index].mask[1:].sum()) for index in range(16))
        assert trained.num_supervised == 3 * wanted
        models.append(model)
    assert all(map(torch.equal, models[0].parameters(), models[1].parameters()))


def test_no_examples_is_said(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no examples"):
        train(
            fresh(tiny_model),
            examples(number=0),
            SETTINGS,
            SilentLog(),
            pad_id=0,
            checkpoints=tmp_path,
            label="test",
        )


def test_the_rate_warms_up_and_cools_down() -> None:
    rates = [learning_rate(SETTINGS, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(1e-3)
    assert max(rates) == rates[10] == pytest.approx(1e-2)
    assert rates[-1] == pytest.approx(1e-3, rel=0.01)


def test_kept_frozen_layers_give_the_same_weights(tiny_model: Path, tmp_path: Path) -> None:
    computed, kept = fresh(tiny_model, top_layers=1), fresh(tiny_model, top_layers=1)
    run(computed, tmp_path / "a")
    run(kept, tmp_path / "b", frozen_cache="always")
    for one, other in zip(computed.parameters(), kept.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("reason", ["all learns", "embeddings learn", "dropout"])
def test_keeping_what_can_change_is_refused(tiny_model: Path, tmp_path: Path, reason: str) -> None:
    model = fresh(tiny_model, top_layers=None if reason == "all learns" else 1)
    if reason == "embeddings learn":
        model.get_input_embeddings().requires_grad_(True)
    elif reason == "dropout":
        model.config.attention_dropout = 0.1
    with pytest.raises(ValueError, match=r"training\.frozen_cache"):
        run(model, tmp_path / "a", frozen_cache="always")
    settings = SETTINGS.model_copy(update={"frozen_cache": "auto"})
    assert not choose(model, examples(), LONG, settings, torch.device("cpu")).cached


@pytest.mark.skipif(not can_compile(), reason="no C++ compiler")
@pytest.mark.parametrize(("pays_from", "compiled"), [(3e13, False), (1e7, True)])
def test_a_run_is_compiled_where_that_pays(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, pays_from: float, compiled: bool
) -> None:
    """Some 1e8 operations of this one."""
    monkeypatch.setattr(choices, "_COMPILING_PAYS", pays_from)
    settings = SETTINGS.model_copy(update={"compile": "auto"})
    chosen = choose(fresh(tiny_model), examples(), LONG, settings, torch.device("cpu"))
    assert chosen.compiled == compiled


@pytest.mark.parametrize("setting", ["frozen_cache", "compile"])
def test_what_adapters_do_not_allow_is_refused_for_their_sake(
    tiny_model: Path, tmp_path: Path, setting: str
) -> None:
    model = fresh(tiny_model, top_layers=1)
    add_adapters(model, rank=2, alpha=2, seed=0)
    with pytest.raises(ValueError, match=rf"training\.{setting}: .*lora.*, such as an adapter"):
        run(model, tmp_path / "a", **{setting: "always"})


def test_no_room_for_the_frozen_layers_is_said(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"no room for .* MiB .*frozen_cache: never"):
        run(fresh(tiny_model, top_layers=1), tmp_path / "a", frozen_cache="always")
    assert not list((tmp_path / "a").rglob("states.bin"))


def stopped_early(
    tiny_model: Path, folder: Path, log: SilentLog | None = None, **changes: Any
) -> tuple[PreTrainedModel, Any]:
    model = fresh(tiny_model)
    trained = train(
        model,
        examples(),
        SETTINGS.model_copy(update={"epochs": 12.0, "learning_rate": 3e-2, **changes}),
        log or SilentLog(),
        pad_id=0,
        checkpoints=folder,
        label="test",
        held_out=examples(seed=5, number=8),
    )
    return model, trained


def test_training_stops_where_the_held_out_loss_does(tiny_model: Path, tmp_path: Path) -> None:
    """Random tokens: what is learned of some says nothing of others."""
    model, trained = stopped_early(tiny_model, tmp_path / "a", patience=2)
    losses = [row["held_out_loss"] for row in trained.curve if "held_out_loss" in row]
    assert 3 <= len(losses) < 12
    assert min(losses[:-2]) < min(losses[-2:])
    _, longer = stopped_early(tiny_model, tmp_path / "b", patience=0)
    assert longer.num_tokens > trained.num_tokens
    forward = choose_forward(model, "fp32", compiled=False)
    stopping = EarlyStopping(Objective(forward), examples(seed=5, number=8), 2, tmp_path, 0, "r")
    assert stopping.measure(128, lambda: None) == pytest.approx(min(losses), rel=1e-5)
    write_curve(tmp_path / "curve.csv", trained)
    assert (tmp_path / "curve.csv").read_text().splitlines()[0].endswith("held_out_loss")


def test_the_best_weights_are_of_the_runs_own_settings(tiny_model: Path, tmp_path: Path) -> None:
    """Another run, killed before its first checkpoint, had kept weights of its own."""
    whole, trained = stopped_early(tiny_model, tmp_path / "a", patience=2)
    over = len(trained.curve) - 1
    with pytest.raises(Killed):
        stopped_early(tiny_model, tmp_path / "b", Steps(over), patience=2, checkpoint_seconds=1e-6)
    with pytest.raises(Killed):
        stopped_early(tiny_model, tmp_path / "b", Steps(over), patience=2, seed=2)
    log = Steps()
    resumed, _ = stopped_early(tiny_model, tmp_path / "b", log, patience=2)
    assert log.steps[0] > 1
    assert all(map(torch.equal, whole.parameters(), resumed.parameters()))


def test_best_weights_of_other_settings_go_with_their_checkpoints(
    tiny_model: Path, tmp_path: Path
) -> None:
    often: dict[str, Any] = {"patience": 2, "checkpoint_seconds": 1e-6}
    for seed in (1, 2):
        stopped_early(tiny_model, tmp_path, **often, seed=seed)
        assert len(list((tmp_path / "lowest").iterdir())) == 1


@pytest.mark.parametrize("fault", ["missing", "flipped", "short", "of another step"])
def test_damaged_best_weights_are_refused_by_name(
    tiny_model: Path, tmp_path: Path, fault: str
) -> None:
    """Training is over, and was killed before its model was saved."""
    stopped_early(tiny_model, tmp_path, patience=2, checkpoint_seconds=1e-6)
    (file,) = tmp_path.glob("lowest/*/step-*/weights.safetensors")
    raw = bytearray(file.read_bytes())
    if fault == "missing":
        shutil.rmtree(file.parent)
    elif fault == "flipped":
        raw[-1] ^= 1
        file.write_bytes(raw)
    elif fault == "short":
        file.write_bytes(raw[:-4])
    else:
        best = load_checkpoint(file.parent.parent, json.loads(_state(file))["recipe"])
        assert best is not None
        save_checkpoint(file.parent.parent, replace(best, step=best.step + 1))
    what = r"of step \d+, .* are missing" if fault in ("missing", "of another step") else "damaged"
    with pytest.raises(ValueError, match=rf"lowest.*{what}; remove {tmp_path} to train anew"):
        stopped_early(tiny_model, tmp_path, patience=2)


def _state(weights: Path) -> str:
    return weights.with_name("state.json").read_text()


@pytest.mark.parametrize("epochs", [0.5, 1.5])
def test_the_end_of_training_is_measured_where_it_is_no_epochs(
    tiny_model: Path, tmp_path: Path, epochs: float
) -> None:
    _, trained = stopped_early(tiny_model, tmp_path / "a", patience=3, epochs=epochs)
    assert "held_out_loss" in trained.curve[-1]


def test_early_stopping_needs_something_held_out(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"training\.patience needs held-out dialogues"):
        run(fresh(tiny_model), tmp_path, patience=1)


# --- a run that was stopped goes on --------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
from tests.dialogue import test_training as t

class Waiting(t.SilentLog):
    def metrics(self, values, step=None):
        print(step, flush=True)
        sys.stdin.readline()

t.train(t.fresh(Path(sys.argv[1]), top_layers=1), t.examples(), t.SETTINGS, Waiting(),
    pad_id=0, checkpoints=Path(sys.argv[2]), label="test")
"""


def test_sigterm_ends_the_step_saves_and_the_next_run_goes_on(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Told to stop in the middle of the third step, it makes no fourth."""
    command = [sys.executable, "-c", SCRIPT, str(tiny_model), str(tmp_path / "a")]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for step in ("1", "2", "3"):
            assert process.stdout.readline().strip() == step
            if step == "3":
                process.terminate()
            process.stdin.write("go on\n")
            process.stdin.flush()
        said, complaint = process.communicate()
    assert said == ""
    assert process.returncode != 0
    assert "KeyboardInterrupt" in complaint
    log = Steps()
    run(fresh(tiny_model, top_layers=1), tmp_path / "a", log)
    assert log.steps[0] == 4


def test_told_to_stop_it_does_not_finish_a_long_step(tiny_model: Path, tmp_path: Path) -> None:
    """Asked at the second micro-batch of the second step, which is then made anew."""
    told = Steps()

    class Asking(Regularizer):
        calls = 0

        def reads(self, indices: tuple[int, ...]) -> None:
            self.calls += told.steps == [1]
            if self.calls == 2:
                signal.raise_signal(signal.SIGTERM)

    def go(folder: str, log: SilentLog, regularizer: Regularizer | None) -> PreTrainedModel:
        model = fresh(tiny_model)
        train(
            model,
            examples(),
            SETTINGS.model_copy(update={"tokens_per_step": 512, "tokens_per_batch": 64}),
            log,
            pad_id=0,
            checkpoints=tmp_path / folder,
            label="test",
            regularizer=regularizer,
        )
        return model

    asking = Asking()
    with pytest.raises(KeyboardInterrupt):
        go("a", told, asking)
    assert (told.steps, asking.calls) == ([1], 2)
    resumed = go("a", told, None)
    assert told.steps[:2] == [1, 2]
    assert all(map(torch.equal, go("b", SilentLog(), None).parameters(), resumed.parameters()))


class Told(Steps):
    """Remembers what was told first."""

    first: frozenset[str] = frozenset()

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        super().metrics(values, step)
        self.first = self.first or frozenset(values)


def test_told_to_stop_it_does_not_finish_a_long_measurement(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made when the run goes on, which ends as the undisturbed one."""
    asked = []

    def ask(*values: Any) -> Any:
        if not asked:
            asked.append(signal.raise_signal(signal.SIGTERM))
        return collate(*values)

    whole, trained = stopped_early(tiny_model, tmp_path / "a", patience=2, tokens_per_batch=64)
    monkeypatch.setattr(early_stopping, "collate", ask)
    with pytest.raises(KeyboardInterrupt):
        stopped_early(tiny_model, tmp_path / "b", patience=2, tokens_per_batch=64)
    log = Told()
    model, again = stopped_early(tiny_model, tmp_path / "b", log, patience=2, tokens_per_batch=64)
    assert log.steps[0] > 1
    assert {"loss", "held_out_loss"} <= log.first, "nothing was told of this step before"
    assert all(map(torch.equal, whole.parameters(), model.parameters()))
    for here, there in zip(again.curve, trained.curve, strict=True):
        assert here | {"seconds": 0.0} == there | {"seconds": 0.0}


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path, name: str, fault: str) -> None:
    moments = {"w/exp_avg": torch.ones(4)}
    save_checkpoint(tmp_path, Checkpoint(1, "p", {"w": torch.zeros(4)}, moments, []))
    file = tmp_path / "step-00000001" / name
    if fault == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ValueError, match=name):
        load_checkpoint(tmp_path, "p")


@pytest.mark.parametrize(
    ("written", "instead"),
    [('"step": 1', '"step": 2'), ('"loss": 3.5', '"loss": 0.5'), ('"ours"', '"hers"')],
)
def test_an_edited_state_is_refused(tmp_path: Path, written: str, instead: str) -> None:
    """Neither is a figure believed, nor does the run begin anew in silence."""
    save_checkpoint(tmp_path, Checkpoint(1, "ours", {}, {}, [{"loss": 3.5}]))
    file = tmp_path / "step-00000001" / "state.json"
    assert written in file.read_text()
    file.write_text(file.read_text().replace(written, instead))
    with pytest.raises(
        ValueError, match=r"state\.json: damaged.*; remove .*step-00000001 to train"
    ):
        load_checkpoint(tmp_path, "ours")


def test_a_checkpoint_under_another_steps_name_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, Checkpoint(1, "ours", {}, {}, []))
    (tmp_path / "step-00000001").rename(tmp_path / "step-00000007")
    with pytest.raises(ValueError, match=r"state\.json: damaged: .* its folder's name"):
        load_checkpoint(tmp_path, "ours")


def test_a_checkpoint_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, Checkpoint(1, "ours", {}, {}, []))
    file = tmp_path / "step-00000001" / "state.json"
    state = json.loads(file.read_text())
    del state["digest"]
    file.write_text(json.dumps(state))
    with pytest.raises(ValueError, match=r"holds no digest, as earlier versions wrote it; remove"):
        load_checkpoint(tmp_path, "ours")


@pytest.mark.parametrize("change", [{"learning_rate": 5e-3}, {"seed": 2}, {}], ids=str)
def test_a_run_of_other_settings_begins_anew(
    tiny_model: Path, tmp_path: Path, change: dict[str, float]
) -> None:
    with pytest.raises(Killed):
        run(fresh(tiny_model), tmp_path / "a", Steps(last=4), checkpoint_seconds=1e-6)
    log = Steps()
    run(fresh(tiny_model), tmp_path / "a", log, **change)
    assert log.steps[0] == (1 if change else 5)


def test_dropout_is_drawn_as_it_would_have_been(tiny_model: Path, tmp_path: Path) -> None:
    def dropping() -> PreTrainedModel:
        model = fresh(tiny_model)
        model.config.attention_dropout = 0.3
        for layer in model.base_model.layers:
            layer.self_attn.attention_dropout = 0.3
        return model

    whole, resumed, plain = dropping(), dropping(), fresh(tiny_model)
    run(whole, tmp_path / "a")
    with pytest.raises(Killed):
        run(dropping(), tmp_path / "b", Steps(last=4), checkpoint_seconds=1e-6)
    torch.rand(3)
    run(resumed, tmp_path / "b")
    run(plain, tmp_path / "c")
    assert all(map(torch.equal, whole.parameters(), resumed.parameters()))
    assert not all(map(torch.equal, whole.parameters(), plain.parameters()))


def test_a_checkpoint_of_another_plan_is_not_continued(tmp_path: Path) -> None:
    moments = {"w/exp_avg": torch.ones(4)}
    save_checkpoint(tmp_path, Checkpoint(1, "p", {"w": torch.zeros(4)}, moments, []))
    assert load_checkpoint(tmp_path, "another") is None


def test_a_write_that_fails_is_said_and_the_old_checkpoint_stays(tmp_path: Path) -> None:
    """The kernel refuses to write past a file size limit, as it does on a full disk."""
    small = {"w": torch.zeros(4)}
    save_checkpoint(tmp_path, Checkpoint(1, "p", small, small, []))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        large = {"w": torch.zeros(2**20)}
        with pytest.raises(OSError, match="step-00000002: cannot be written"):
            save_checkpoint(tmp_path, Checkpoint(2, "p", large, large, []))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = load_checkpoint(tmp_path, "p")
    assert kept is not None
    assert kept.step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_the_manifest_notices_one_flipped_byte(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in tiny_model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    assert verify_manifest(folder) == verify_manifest(tiny_model)
    raw = bytearray((folder / "model.safetensors").read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / "model.safetensors").write_bytes(raw)
    with pytest.raises(ValueError, match=r"model\.safetensors: damaged"):
        load_model(folder)


def test_a_sequence_that_is_longer_than_the_positions_is_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    ids = np.resize(np.arange(3, 290), 513)
    long = pack([("long", "chat", Encoded(ids, np.ones(513, dtype=np.bool_)))], 300)
    with pytest.raises(ValueError, match=r"has 513 tokens, .* up to 512; lower encode\.max_tokens"):
        train(
            fresh(tiny_model),
            long,
            SETTINGS,
            SilentLog(),
            pad_id=0,
            checkpoints=tmp_path,
            label="test",
        )


@pytest.mark.parametrize(
    ("num_read", "epochs", "kept"), [(0, 1.0, False), (1, 1.0, True), (0, 2.0, True)]
)
def test_frozen_layers_are_kept_where_anybody_reads_an_example_again(
    tiny_model: Path, num_read: int, epochs: float, kept: bool
) -> None:
    shard = examples()
    sizes: dict[str, Any] = {"tokens_per_batch": 128, "tokens_per_step": 128, "seed": 1}
    plan = plan_steps(shard.lengths, epochs=epochs, **sizes)
    settings = SETTINGS.model_copy(update={"frozen_cache": "auto"})
    chosen = choose(fresh(tiny_model, 1), shard, plan, settings, torch.device("cpu"), num_read)
    assert chosen.cached == kept
