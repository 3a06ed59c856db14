"""Whole stages in processes that are killed: `python -m tests.tasks.attempts SCENE FOLDER KILLS`.

Everything is imported once and every attempt is a fork, so that a kill costs what is lost and no
start-up. A scene plays a stage undisturbed in FOLDER/undisturbed and, killed again and again, in
FOLDER/killed; what came of it is left there to be compared, and a JSON line says what happened.
"""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import torch
import yaml

from dialogue import training
from dialogue.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from dialogue.config import Params, Pretrain, load_params
from dialogue.log import SilentLog
from dialogue.manifest import write_manifest
from dialogue.shards import Shard, empty_shard, write_shard
from dialogue.texts import Text, write_texts
from tasks.finetune import finetune
from tasks.pretrain import pretrain
from tests.dialogue.test_training import examples
from tests.tasks.test_finetune import settings as finetune_settings
from tests.tasks.test_finetune import shard
from tests.tasks.test_pretrain import SECTION, TEXT

ROOT = Path(__file__).parents[2]
EVERY_STEP = {"checkpoint_seconds": 1e-6, "tokens_per_step": 96, "tokens_per_batch": 96}
SEED = 7
OPERATIONS = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree")

Stage = Callable[[Path, SilentLog], None]


@dataclass
class Attempt:
    """A stage at work in a process of its own, and what it says of itself."""

    process: int
    said: BinaryIO
    lines: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        for line in self.said:
            self.lines.append(line.decode().strip())
            yield self.lines[-1]

    def kill(self) -> None:
        os.kill(self.process, signal.SIGKILL)

    def end(self) -> bool:
        """Wait for it; whether it was killed. Whatever else goes wrong ends the scene."""
        for _ in self:
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        assert status in (0, -signal.SIGKILL), f"{status}: {self.lines}"
        return status != 0


class Telling(SilentLog):
    """Tells of every step."""

    def __init__(self, line: BinaryIO) -> None:
        self.line = line

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        if step is not None:
            self.line.write(f"step {step}\n".encode())


def begin(work: Callable[[BinaryIO], object]) -> Attempt:
    """Start it in a fork of this process, with a line to tell through."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        with os.fdopen(writing, "wb", buffering=0) as line:
            status = 1
            try:
                work(line)
                status = 0
            except BaseException as error:  # a fork must never go on as its parent would
                line.write(f"{type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(status)
    os.close(writing)
    return Attempt(process, os.fdopen(reading, "rb"))


def killed_at_steps(stage: Stage, folder: Path, kills: int) -> dict[str, object]:
    """SIGKILL at `kills` random steps, a random part of a step later."""
    undisturbed = begin(lambda line: stage(folder / "undisturbed", Telling(line)))
    assert not undisturbed.end()
    num_steps = len(undisturbed.lines)
    chance = random.Random(SEED)
    first_steps = []
    # Not among the last, where a late kill would meet a run that is over.
    for kill_at in sorted(chance.sample(range(2, num_steps * 3 // 4), kills)):
        attempt = begin(lambda line: stage(folder / "killed", Telling(line)))
        for line in attempt:
            if int(line.split()[1]) >= kill_at:
                time.sleep(chance.uniform(0, 0.005))
                attempt.kill()
                break
        assert attempt.end(), "it ended before it could be killed"
        first_steps.append(int(attempt.lines[0].split()[1]))
    last = begin(lambda line: stage(folder / "killed", Telling(line)))
    assert not last.end()
    first_steps.append(int(last.lines[0].split()[1]))
    return {"num_steps": num_steps, "first_steps": first_steps}


def killed_while_saving(stage: Stage, folder: Path, kills: int) -> dict[str, object]:
    """SIGKILL at random moments of `kills` saves."""
    undisturbed = begin(lambda line: stage(folder / "undisturbed", Telling(line)))
    assert not undisturbed.end()
    chance = random.Random(SEED)
    inside = attempts = 0
    seconds = 0.01
    while inside < kills:
        attempts += 1
        assert attempts < 20 * kills, f"only {inside} of {attempts} kills met a save"
        attempt = begin(lambda line: _telling_of_saves(stage, folder / "killed", line))
        wanted = chance.randrange(1, 4)
        for line in attempt:
            wanted -= line == "saving"
            if wanted == 0:
                time.sleep(chance.uniform(0, seconds))
                attempt.kill()
                break
        if attempt.end():
            left = [line for line in attempt.lines if line in ("saving", "saved")]
            inside += left[-1] == "saving"
            # A kill that came too late says that saves are shorter, and the other way round.
            seconds *= 1.2 if left[-1] == "saving" else 0.8
    assert not begin(lambda line: stage(folder / "killed", Telling(line))).end()
    return {"inside": inside, "attempts": attempts}


def _telling_of_saves(stage: Stage, folder: Path, line: BinaryIO) -> None:
    def save(where: Path, checkpoint: Checkpoint) -> None:
        line.write(b"saving\n")
        save_checkpoint(where, checkpoint)
        line.write(b"saved\n")

    training.save_checkpoint = save
    stage(folder, Telling(line))


def killed_at_every_file_operation(folder: Path) -> dict[str, object]:
    """SIGKILL at the first, second, … thing that a save asks of the file system.

    A newer checkpoint of another recipe lies beside it, as when a setting was changed half-way.
    """
    survived, operations = False, 0
    while not survived:
        here, aside = folder / str(operations), folder / "aside"
        save_checkpoint(aside, _checkpoint(9, "another"))
        save_checkpoint(here, _checkpoint(1))
        (aside / "step-00000009").rename(here / "step-00000009")
        survived = not begin(functools.partial(_save_and_die, here, operations)).end()
        found = load_checkpoint(here, "ours")
        assert found is not None, f"operation {operations}: nothing was found"
        assert found.step in (1, 2)
        assert torch.equal(found.weights["w"], torch.full((1000,), float(found.step)))
        save_checkpoint(here, _checkpoint(3))
        assert [path.name for path in here.iterdir()] == ["step-00000003"]
        operations += 1
    return {"operations": operations - 1}


def _checkpoint(step: int, recipe: str = "ours") -> Checkpoint:
    values = {"w": torch.full((1000,), float(step))}
    return Checkpoint(step, recipe, values, values, [])


def _save_and_die(folder: Path, at: int, _line: BinaryIO) -> None:
    """Save, and be killed before the operation with this number; from 0."""
    count = 0

    def watch(event: str, _arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in OPERATIONS:
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

    checkpoint = _checkpoint(2)
    sys.addaudithook(watch)
    save_checkpoint(folder, checkpoint)


def _finetune(inputs: Path, new: Shard | None = None, **changes: object) -> Stage:
    """The second domain, learned as the default is: the frozen layers' output is kept."""
    params = load_params(ROOT / "params.yaml")
    frequent = finetune_settings(params, params.finetune.strategy)
    section = frequent.finetune.model_copy(
        update={
            "training": frequent.finetune.training.model_copy(
                update=EVERY_STEP | {"epochs": 8.0, "frozen_cache": "always"} | changes
            )
        }
    )
    settings = frequent.model_copy(update={"finetune": section})

    def stage(folder: Path, log: SilentLog, domain: str = "help") -> None:
        first = domain == "chat"
        finetune(
            settings if not first else finetune_settings(params),
            log,
            domain=domain,
            encoded=inputs / "encoded" / domain,
            parent=inputs / ("tiny" if first else "parent/model"),
            parent_memory=inputs / ("none" if first else "parent/memory"),
            model=folder / "model",
            memory=folder / "memory",
            report=folder / "report.json",
            curve=folder / "curve.csv",
            checkpoints=folder / "checkpoints",
        )

    write_shard(inputs / "none", empty_shard())
    write_shard(inputs / "encoded/chat/train", shard(inputs / "tiny", "chat"))
    write_shard(inputs / "encoded/help/train", new or shard(inputs / "tiny", "help"))
    stage(inputs / "parent", SilentLog(), "chat")
    return stage


def _pretrain(inputs: Path) -> Stage:
    """From random weights."""
    section = yaml.safe_load(SECTION)
    section["training"] |= EVERY_STEP
    section["max_tokens"] = 2000
    params: Params = load_params(ROOT / "params.yaml").model_copy(
        update={"pretrain": Pretrain.model_validate(section)}
    )
    write_texts(inputs / "text" / "text.parquet", [Text("0" * 16, TEXT, "a book", "CC0-1.0")])
    write_manifest(inputs / "text")

    def stage(folder: Path, log: SilentLog) -> None:
        pretrain(
            params,
            log,
            text=inputs / "text",
            model=folder / "model",
            tokenizer=folder / "tokenizer",
            memory=folder / "memory",
            scores=folder / "scores",
            report=folder / "report.json",
            curve=folder / "curve.csv",
            checkpoints=folder / "checkpoints",
        )

    return stage


def main(scene: str, folder: Path, kills: int) -> None:
    torch.set_num_threads(1)
    if scene == "operations":
        facts = killed_at_every_file_operation(folder)
    elif scene == "saving":
        facts = killed_while_saving(_finetune(folder), folder, kills)
    elif scene == "compiled":
        # Of many lengths, so that a resumed run meets other sizes first than the undisturbed one;
        # several rows in each batch, since a single one is compiled by itself.
        sizes = {"tokens_per_batch": 256, "tokens_per_step": 256, "epochs": 2.0}
        stage = _finetune(folder, examples(number=16), compile="always", **sizes)
        facts = killed_at_steps(stage, folder, kills)
    else:
        stage = {"pretrain": _pretrain, "finetune": _finetune}[scene](folder)
        facts = killed_at_steps(stage, folder, kills)
    print(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
