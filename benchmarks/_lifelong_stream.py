"""The stream of the lifelong benchmark: real domains, their exam, and a small base model."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import yaml
from pydantic import BaseModel
from transformers import PreTrainedTokenizerFast

from benchmarks._kept import code_of, state
from dialogue.config import (
    Evaluate,
    FileSource,
    Params,
    ScratchModel,
    Source,
    Training,
    load_params,
)
from dialogue.encoding import Encoder
from dialogue.exam import INSTRUCTIONS
from dialogue.initialization import initial_model
from dialogue.instructions import FILE, plain_instructions
from dialogue.log import SilentLog
from dialogue.model import save_model, scratch_model
from dialogue.paper import Paper, set_paper
from dialogue.pretraining import Document, split_documents, text_blocks
from dialogue.privacy import Scrubber
from dialogue.records import Dialogue, words_digest
from dialogue.shards import Shard, pack
from dialogue.sources import raw_files, read, read_text
from dialogue.sources.selection import smallest
from dialogue.tokenization import load_tokenizer, train_tokenizer
from dialogue.training import train

SHARED = Path("../shared/data")
_SERVICES = {"banking": "Banks", "travel": "Flights", "calendar": "Calendar"}
_PEOPLE, _TASKS = ("chitchat", "dailydialog", "persona"), ("banking", "travel", "calendar")
ORDERS: dict[str, tuple[str, ...]] = {
    "people first": (*_PEOPLE, "support", "assistant", *_TASKS),
    "tasks first": (*reversed(_TASKS), "assistant", "support", *reversed(_PEOPLE)),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    num_train: int
    num_test: int
    num_selected: int
    max_tokens: int
    pretrain_tokens: int | None
    """Of a small model made for the purpose; None takes the model of `pretrain.init`."""

    @property
    def name(self) -> str:
        """A folder's."""
        values = (self.num_train, self.num_test, self.num_selected, self.max_tokens)
        return "-".join(map(str, (*values, self.pretrain_tokens or "pretrained")))


def kept_name(module: str, sizes: Sizes, params: Params, learning: Iterable[BaseModel]) -> str:
    """The folder of what a benchmark makes with these settings by the code as it is.

    Args:
        module: the benchmark's; with all that it imports, directly or not.
        sizes: how much of everything.
        params: what is read, and what the base model is.
        learning: the settings that it learns with.
    """
    sections = [params.pretrain.init, params.ingest, params.gather, params.evaluate, *learning]
    settings = [each.model_dump_json() for each in sections]
    if sizes.pretrain_tokens is not None:
        settings += [each.model_dump_json() for each in scratch()]
    # Of the types of settings only the values count.
    code = [*code_of(module, but=["dialogue.config"]), FILE]
    return f"{sizes.name}-{state([*settings, str(SHARED.exists())], code)}"


@dataclass(frozen=True, slots=True)
class Stream:
    """What is learned and what is asked, by domain, and the model that all begin with."""

    base: Path
    tokenizer: PreTrainedTokenizerFast
    train: Mapping[str, Shard]
    papers: Mapping[str, tuple[Paper, Paper]]
    """Of each domain: replies to be picked among others, and dialogues only to be predicted."""
    general: Paper | None
    """The plain instructions, where the base model follows any."""

    @property
    def num_bytes(self) -> int:
        """Bytes of all training dialogues' tokens and masks."""
        return sum(shard.num_bytes for shard in self.train.values())


def open_stream(sizes: Sizes, folder: Path, sources: Mapping[str, Source] | None = None) -> Stream:
    """Read the sources and make the base model, or take the one that is in `folder`."""
    params = load_params(Path("params.yaml"))
    sources = sources or _sources(params)
    found = {name: _dialogues(params, name, source) for name, source in sources.items()}
    learned = {n: list(smallest(_of(d, "train"), sizes.num_train, _id)) for n, d in found.items()}
    asked = {n: list(smallest(_of(d, "test"), sizes.num_test, _id)) for n, d in found.items()}
    base = folder / "base"
    folder.mkdir(parents=True, exist_ok=True)
    # Several may run parts of a benchmark at once.
    with filelock.FileLock(folder / "base.lock"):
        if not base.exists() and sizes.pretrain_tokens is None:
            model, tokenizer = initial_model(params.pretrain.init, (), seed=17)
            save_model(model, tokenizer, base, domain="base", parent_digest=None)
        elif not base.exists():
            texts = (turn.text for each in learned.values() for d in each for turn in d.turns)
            _make_base(params, list(texts), sizes.pretrain_tokens, base)
    tokenizer = load_tokenizer(base)
    changes = {"max_tokens": sizes.max_tokens, "num_distractors": 4, "num_hard_distractors": 0}
    settings = params.evaluate.model_copy(update=changes)
    return Stream(
        base=base,
        tokenizer=tokenizer,
        train={n: _encoded(n, d, tokenizer, sizes.max_tokens) for n, d in learned.items()},
        papers={n: _papers(n, d, tokenizer, settings, sizes) for n, d in asked.items()},
        general=None if sizes.pretrain_tokens else _instructions(tokenizer, settings),
    )


def plain_documents(params: Params) -> list[Document]:
    """The text of pretraining, in an order of no meaning."""
    source = params.gather.sources[0]
    texts = read_text(
        source,
        raw_files(source),
        scrubber=Scrubber(params.gather.scrub),
        max_row_bytes=params.gather.max_row_bytes,
    )
    documents, _ = split_documents(texts, 0.0)
    return documents


def services(names: Iterable[str]) -> dict[str, Source]:
    """Services of Schema-Guided Dialogue as domains."""
    return {
        name.lower(): _file("sgd/dialogues.jsonl.gz", "schema_guided", {"service": name})
        for name in names
    }


def scratch() -> tuple[ScratchModel, Training]:
    """The `scratch` profile's model and its pretraining."""
    profile = yaml.safe_load(Path("profiles/scratch.yaml").read_text())
    training = load_params(Path("params.yaml")).pretrain.training
    return (
        ScratchModel.model_validate(profile["pretrain"]["init"]),
        training.model_copy(update=profile["pretrain"]["training"]),
    )


def _sources(params: Params) -> dict[str, Source]:
    sources: dict[str, Source] = dict(params.ingest.sources)
    if SHARED.exists():
        sources["dailydialog"] = _file("dailydialog/validation.en.txt", "eou")
        sources["persona"] = _file("persona_chat/validation.csv", "synthetic_persona_chat")
        of_names = services(_SERVICES.values())
        sources |= {name: of_names[service.lower()] for name, service in _SERVICES.items()}
    return sources


def _file(path: str, form: str, select: dict[str, str] | None = None) -> Source:
    fields: dict[str, Any] = {"kind": "file", "path": str(SHARED / path), "format": form}
    return FileSource(**fields, licence="see ../shared/data/README.md", select=select)


def _dialogues(params: Params, name: str, source: Source) -> list[Dialogue]:
    """Everything of a source that says something new, training and test apart."""
    rows = read(
        source,
        raw_files(source),
        name,
        test_share=0.2,
        validation_share=0.0,
        scrubber=Scrubber(params.ingest.scrub),
        max_row_bytes=params.ingest.max_row_bytes,
    )
    kept: dict[str, Dialogue] = {}
    for row in rows:
        if isinstance(row, Dialogue):
            kept.setdefault(words_digest(row.turns), row)
    return list(kept.values())


def _of(dialogues: list[Dialogue], split: str) -> Iterator[Dialogue]:
    return (dialogue for dialogue in dialogues if dialogue.split == split)


def _id(dialogue: Dialogue) -> str:
    return dialogue.id


def _encoded(
    domain: str, dialogues: list[Dialogue], tokenizer: PreTrainedTokenizerFast, max_tokens: int
) -> Shard:
    encoded = Encoder(tokenizer).dialogues(dialogues, max_tokens)
    rows = ((d.id, domain, e) for d, e in zip(dialogues, encoded, strict=True))
    return pack(rows, len(tokenizer))


def _papers(
    domain: str,
    dialogues: list[Dialogue],
    tokenizer: PreTrainedTokenizerFast,
    settings: Evaluate,
    sizes: Sizes,
) -> tuple[Paper, Paper]:
    first, rest = dialogues[: sizes.num_selected], dialogues[sizes.num_selected :]
    return (
        set_paper(domain, first, tokenizer, settings, thorough=True),
        set_paper(domain, rest, tokenizer, settings, thorough=False),
    )


def _instructions(tokenizer: PreTrainedTokenizerFast, settings: Evaluate) -> Paper:
    return set_paper(INSTRUCTIONS, plain_instructions(), tokenizer, settings, thorough=False)


_SMALL: dict[str, Any] = {
    "vocabulary_size": 2_048,
    "hidden_size": 128,
    "intermediate_size": 344,
    "num_layers": 4,
    "num_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
}
"""About 1 M parameters."""


def _make_base(params: Params, texts: list[str], max_tokens: int | None, folder: Path) -> None:
    """A vocabulary of the stream's own, and a little pretraining on what people said elsewhere."""
    settings, training = scratch()
    settings = settings.model_copy(update=_SMALL)
    training = training.model_copy(update={"learning_rate": 2e-3, "tokens_per_step": 4_096})
    tokenizer = train_tokenizer(texts, settings.vocabulary_size)
    model = scratch_model(settings, tokenizer, seed=17)
    checkpoints = folder.with_name("checkpoints")
    blocks = text_blocks(plain_documents(params), tokenizer, 128, max_tokens)
    assert tokenizer.pad_token_id is not None
    train(
        model,
        blocks,
        training,
        SilentLog(),
        pad_id=tokenizer.pad_token_id,
        checkpoints=checkpoints,
        label="base model",
    )
    shutil.rmtree(checkpoints, ignore_errors=True)
    save_model(model, tokenizer, folder, domain="base", parent_digest=None)
