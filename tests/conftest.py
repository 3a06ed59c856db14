"""Real things, small: a byte tokenizer and a two-layer model in ordinary folders."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dialogue.config import ScratchModel
from dialogue.model import save_model, scratch_model
from dialogue.tokenization import train_tokenizer

# Workers share the cores, and a thread that waits for another one spins: beside other work 43 tests
# of training took 27 s by one thread and 356 s by two. What the tests start inherits it.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
# Hundreds of processes are started here, and each would compile the project anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# No example fails by the clock: other processes share the cores.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")
# A shell starts what it puts into the background with Ctrl-C ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How thorough the tests of killed training are."""
    parser.addoption("--kills", type=int, default=5, help="SIGKILLs in each of them (default: 5)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pipeline, which takes the longest, first: with two workers the rest runs beside it."""
    items.sort(key=lambda item: item.get_closest_marker("pipeline") is None)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["hello there, how are you? I am fine."] * 3, 300)


@pytest.fixture(scope="session")
def tiny_settings() -> ScratchModel:
    return ScratchModel(
        kind="scratch",
        vocabulary_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_layers=2,
        num_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
    )


@pytest.fixture(scope="session")
def tiny_model(
    tmp_path_factory: pytest.TempPathFactory,
    tokenizer: PreTrainedTokenizerFast,
    tiny_settings: ScratchModel,
) -> Path:
    """A model folder with a manifest; tests must not write into it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(scratch_model(tiny_settings, tokenizer, seed=1), tokenizer, folder, domain="base")
    return folder


@pytest.fixture(scope="session")
def scripted_model(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast
) -> Callable[..., Path]:
    """Makes folders of real models that always answer the same text, whatever they are asked.

    Every token is followed by one other: no two tokens of the text may be equal. With
    `endless=True` the text is said again and again.
    """

    def make(text: str, *, endless: bool = False, positions: int = 512) -> Path:
        opening = tokenizer.encode("<|im_start|>assistant\n", add_special_tokens=False)
        ids = tokenizer.encode(text, add_special_tokens=False)
        path = [opening[-1], *ids, ids[0] if endless else tokenizer.eos_token_id]
        assert len(set(path[:-1])) == len(path) - 1, f"{text!r} says a token twice"
        model = _chain(path, len(tokenizer), positions)
        folder = tmp_path_factory.mktemp("models") / "scripted"
        save_model(model, tokenizer, folder, domain="base")
        return folder

    return make


def _chain(path: list[int], vocabulary_size: int, positions: int) -> LlamaForCausalLM:
    """One layer that adds nothing, and a head that knows each token's successor."""
    size = vocabulary_size + vocabulary_size % 2
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary_size,
            hidden_size=size,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            num_key_value_heads=1,
            max_position_embeddings=positions,
            tie_word_embeddings=False,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(vocabulary_size, size))
        for token, successor in itertools.pairwise(path):
            model.lm_head.weight[successor, token] = 10.0
    return model


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prefect server with a database of its own, for the flows of this process; its URL."""
    # Imported here: most tests need no Prefect, whose import takes seconds.
    from prefect.settings import PREFECT_API_URL

    from flows.prefect_server import prefect_server

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        with prefect_server(Path(os.environ["PREFECT_HOME"])):
            yield str(PREFECT_API_URL.value())


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A file system of so many kilobytes; asked again, the same one of another size."""
    folder = tmp_path / "disk"

    def sized(kilobytes: int) -> Path:
        change = "remount," if folder.exists() else ""
        folder.mkdir(exist_ok=True)
        options = ["-t", "tmpfs", "-o", f"{change}size={kilobytes}k", "tmpfs", str(folder)]
        done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        return folder

    yield sized
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)
