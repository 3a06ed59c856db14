"""Training against TRL, transformers' Trainer and compiled transformers, each tuned, in one run.

A Llama of 12.5 M parameters learns real chats (chitchat-dataset), multi-turn, under the response
loss; every side sees the same tokens and supervised positions, in a process of its own, and takes
its turn (A B A B …) after one round that is not counted. Speeds are supervised response tokens a
second, of pretraining all tokens; ratios are medians of the ratios round by round.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch

from benchmarks._chats import chats
from benchmarks.form import Bound, Row, paired_ratio, quick_wanted, report
from dialogue.encoding import Encoded, Encoder
from dialogue.model import choose_precision
from dialogue.packing import supervised_tokens
from dialogue.records import Dialogue
from dialogue.shards import Shard, pack, write_shard
from dialogue.tokenization import train_tokenizer

BOUNDS: dict[str, Bound] = {
    "finetune_vs_trl_default": ("min", 8.0),
    "finetune_vs_trl_best": ("min", 2.4),
    "finetune_vs_hf_best": ("min", 1.3),
    "frozen_cached_vs_full": ("min", 3.3),
    "frozen_cached_vs_recomputed": ("min", 1.8),
    "pretrain_vs_best_peer": ("min", 1.25),
    "pretrain_mfu": ("min", 0.6),
    "smollm2_top8_vs_plain": ("min", 2.0),
    "peak_rss_vs_hf": ("max", 1.0),
    "time_2x_vs_1x": ("max", 2.2),
    "time_4x_vs_1x": ("max", 4.4),
}
_TRL = "trl==1.16.0"
_MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
_TUNED = ("compiled, eager attention", "compiled, sdpa", "trainer, tuned")
_TRL_TUNED = ("trl, tuned", "trl, compiled")
_PRETRAINING = ("compiled, eager attention", "compiled, sdpa")
_WITH_MALLOC = (*_TUNED, *_TRL_TUNED, "smollm2, plain")
"""Peers that are told to keep freed memory, as this does by itself."""


class Side:
    """A process that trains a round when asked to."""

    def __init__(self, name: str, folder: Path, trl: Path) -> None:
        self.name = name
        self.seconds: list[float] = []
        self.peak_mib = 0.0
        environment = os.environ | {
            "BENCHMARK_FOLDER": str(folder),
            "GOMP_SPINCOUNT": "2000",
            "CUDA_VISIBLE_DEVICES": "",
        }
        side = name.split(":")[1]
        if side.startswith(("trl", "trainer", "compiled")):
            environment["PYTHONPATH"] = f"{trl}:{os.environ.get('PYTHONPATH', '')}"
        if side in _WITH_MALLOC:
            environment |= _MALLOC
        self._errors = (folder / f"{name}.log".replace("/", "-")).open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._training_sides", name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            text=True,
        )

    def round(self, *, counted: bool) -> None:
        """Train once.

        Raises:
            RuntimeError: the process ended; what it said is in the message.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"{self.name}: {self._errors.read()[-2_000:]}")
        answer = json.loads(line)
        self.peak_mib = answer["peak_mib"]
        if counted:
            self.seconds.append(answer["seconds"])
        print(f"{self.name:44} {answer['seconds']:7.2f} s{'' if counted else '  (first)'}")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def measured(
    names: Sequence[str], folder: Path, trl: Path, rounds: int
) -> Iterator[dict[str, Side]]:
    """Sides after their rounds, in turn."""
    with ExitStack() as stack:
        sides = [Side(name, folder, trl) for name in names]
        for side in sides:
            stack.callback(side.close)
        for number in range(rounds + 1):
            for side in sides:
                side.round(counted=number > 0)
        yield {side.name: side for side in sides}


def main() -> int:
    """Prepare the data, let the sides train, compare."""
    quick = quick_wanted(__doc__ or "")
    rounds = 1 if quick else 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trl = folder / "site"
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", trl, _TRL],
            check=True,
        )
        shards = _prepare(folder, 24 if quick else 112)
        figures: dict[str, float] = {}
        rows: list[Row] = []
        _finetuning(folder, trl, rounds, shards["chats"], figures, rows)
        _frozen(folder, trl, rounds, figures, rows)
        _pretraining(folder, trl, rounds, shards["text"], figures, rows)
        _smollm2(folder, trl, 1 if quick else 2, figures, rows)
        _linear(folder, trl, rounds, figures, rows)
    return report("training", rows, figures, BOUNDS, quick=quick)


def _finetuning(
    folder: Path, trl: Path, rounds: int, shard: Shard, figures: dict[str, float], rows: list[Row]
) -> None:
    count = int(supervised_tokens(shard).sum())
    names = ("this", "this, eager", "trl", *_TRL_TUNED, "trainer", *_TUNED)
    with measured([f"chats:{name}" for name in names], folder, trl, rounds) as sides:
        this = sides["chats:this"]
        ratios = {
            name: paired_ratio(sides[f"chats:{name}"].seconds, this.seconds) for name in names[1:]
        }
        for name in names[1:]:
            peer = sides[f"chats:{name}"]
            rows.append(
                Row(
                    f"fine-tuning, tokens/s, and {name}",
                    _speed(count, this),
                    f"{_speed(count, peer)} ({peer.peak_mib:,.0f} MiB)",
                    f"{ratios[name]:.2f}×",
                )
            )
        figures["finetune_vs_trl_default"] = ratios["trl"]
        figures["finetune_vs_trl_best"] = min(ratios[name] for name in _TRL_TUNED)
        figures["finetune_vs_hf_best"] = min(ratios[name] for name in _TUNED)
        figures["peak_rss_vs_hf"] = this.peak_mib / sides["chats:trainer"].peak_mib
        figures["peak_rss_mib"] = this.peak_mib


def _frozen(
    folder: Path, trl: Path, rounds: int, figures: dict[str, float], rows: list[Row]
) -> None:
    names = ["chats:frozen, kept", "chats:frozen, computed", "chats:unfrozen"]
    with measured(names, folder, trl, rounds) as sides:
        kept, computed, full = (sides[name].seconds for name in names)
        figures["frozen_cached_vs_full"] = paired_ratio(full, kept)
        figures["frozen_cached_vs_recomputed"] = paired_ratio(computed, kept)
        for peer, figure in (("computed", "recomputed"), ("unfrozen", "full")):
            seconds = computed if peer == "computed" else full
            rows.append(
                Row(
                    f"3 epochs, 6 of 8 layers frozen and kept, and {peer}: s",
                    f"{np.median(kept):.1f}",
                    f"{np.median(seconds):.1f}",
                    f"{figures[f'frozen_cached_vs_{figure}']:.2f}×",
                )
            )


def _pretraining(
    folder: Path, trl: Path, rounds: int, shard: Shard, figures: dict[str, float], rows: list[Row]
) -> None:
    tokens = int(shard.lengths.sum())
    names = ("this", *_PRETRAINING)
    with measured([f"text:{name}" for name in names], folder, trl, rounds) as sides:
        this = sides["text:this"]
        ratios = [paired_ratio(sides[f"text:{n}"].seconds, this.seconds) for n in _PRETRAINING]
        ceiling = _ceiling()
    for name, ratio in zip(_PRETRAINING, ratios, strict=True):
        peer = sides[f"text:{name}"]
        rows.append(
            Row(
                f"pretraining, tokens/s, and {name}",
                _speed(tokens, this),
                _speed(tokens, peer),
                f"{ratio:.2f}×",
            )
        )
    figures["pretrain_vs_best_peer"] = min(ratios)
    rate = 6 * 12.53e6 * tokens / float(np.median(this.seconds)) / 1e9
    figures["pretrain_mfu"] = rate / ceiling
    rows.append(
        Row(
            "pretraining, GFLOP/s by 6NT",
            f"{rate:.0f}",
            f"{ceiling:.0f} at best",
            f"{rate / ceiling:.2f}",
        )
    )


def _smollm2(
    folder: Path, trl: Path, rounds: int, figures: dict[str, float], rows: list[Row]
) -> None:
    names = ["few:smollm2", "few:smollm2, plain"]
    with measured(names, folder, trl, rounds) as sides:
        this, plain = (sides[name].seconds for name in names)
    figures["smollm2_top8_vs_plain"] = paired_ratio(plain, this)
    rows.append(
        Row(
            "SmolLM2's shape, top 8 of 30 layers, 3 epochs: s",
            f"{np.median(this):.1f}",
            f"{np.median(plain):.1f}",
            f"{figures['smollm2_top8_vs_plain']:.2f}×",
        )
    )


def _linear(
    folder: Path, trl: Path, rounds: int, figures: dict[str, float], rows: list[Row]
) -> None:
    names = [f"chats{times}:this" for times in (1, 2, 4)]
    with measured(names, folder, trl, rounds) as sides:
        one, two, four = (sides[name].seconds for name in names)
    figures["time_2x_vs_1x"] = paired_ratio(two, one)
    figures["time_4x_vs_1x"] = paired_ratio(four, one)
    rows.append(
        Row(
            "2 and 4 times the dialogues: times the time",
            f"{figures['time_2x_vs_1x']:.2f}, {figures['time_4x_vs_1x']:.2f}",
            "",
            "",
        )
    )


def _speed(count: int, side: Side) -> str:
    return f"{count / float(np.median(side.seconds)):,.0f}"


def _ceiling() -> float:
    """The most GFLOP/s of a matrix product of the type that is faster here, over a few sizes."""
    kind = torch.bfloat16 if choose_precision("auto") == "bf16" else torch.float32
    best = 0.0
    for size in (512, 1_024, 2_048):
        left, right = (torch.randn(size, size, dtype=kind) for _ in range(2))
        left @ right
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(5):
                left @ right
            best = max(best, 5 * 2 * size**3 / (time.perf_counter() - began) / 1e9)
    return best


def _prepare(folder: Path, number: int) -> dict[str, Shard]:
    """Write the tokenizer and the shards: `chats`, `text`, `few`, and 1, 2, 4 times as many."""
    dialogues = _dialogues(4 * number)
    texts = [turn.text for dialogue in dialogues for turn in dialogue.turns]
    tokenizer = train_tokenizer(texts, 8_192)
    tokenizer.save_pretrained(folder / "tokenizer")
    encoder = Encoder(tokenizer)
    all_rows = [
        (dialogue.id, "chitchat", sequence)
        for dialogue, sequence in zip(dialogues, encoder.dialogues(dialogues, 384), strict=True)
    ]
    stream = np.concatenate([np.asarray(encoder.text(text), np.int64) for text in texts])
    blocks = [stream[start : start + 256] for start in range(0, 256 * number, 256)]
    every = np.ones(256, np.bool_)
    shards = {
        "chats": pack(all_rows[:number], 8_192),
        "few": pack(all_rows[: number // 4], 8_192),
        "text": pack(
            [(f"t{n}", "text", Encoded(block, every)) for n, block in enumerate(blocks)], 8_192
        ),
        **{f"chats{n}": pack(all_rows[: n * number], 8_192) for n in (1, 2, 4)},
    }
    for name, shard in shards.items():
        write_shard(folder / name, shard)
    return shards


def _dialogues(number: int) -> list[Dialogue]:
    whole = list(chats())
    return random.Random(1).sample(whole, min(number, len(whole)))


if __name__ == "__main__":
    sys.exit(main())
