"""The served model: how it is read, and how the server follows the champion."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dialogue.encoding import Encoder
from dialogue.manifest import read_manifest
from dialogue.model import choose_device, choose_precision, load_model
from dialogue.serving.served import Served
from dialogue.tokenization import load_tokenizer

logger = logging.getLogger(__name__)

_POLL_SECONDS = 2.0
_RETRY_SECONDS = 60.0
"""A damaged model is read again after this long: checking it costs a core for a second."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A served model in memory."""

    served: Served
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    encoder: Encoder


def load(served: Served) -> Loaded:
    """Read a model for serving, in bf16 where this machine multiplies it in hardware.

    Raises:
        ValueError: the folder is missing, damaged, or holds another model than `served` says.
    """
    found = read_manifest(served.folder)["digest"]
    if found != served.digest:
        raise ValueError(
            f"{served.folder}: holds the model {found[:12]}, not {served.digest[:12]}; restore it"
        )
    dtype = torch.bfloat16 if choose_precision("auto") == "bf16" else torch.float32
    model = load_model(served.folder, dtype=dtype)
    tokenizer = load_tokenizer(served.folder)
    placed: PreTrainedModel = model.to(choose_device()).eval()  # type: ignore[arg-type]
    return Loaded(served, placed, tokenizer, Encoder(tokenizer))


class Follower:
    """A thread that asks every two seconds who is to be served, and hands over who changed.

    The new model is read while the old one goes on answering. Where it cannot be read, the old
    one stays, and `failed` counts.
    """

    def __init__(
        self,
        current: Served,
        resolve: Callable[[], Served | None],
        swap: Callable[[Loaded], None],
        failed: Callable[[], None],
    ) -> None:
        self._current = current
        self._resolve = resolve
        self._swap = swap
        self._failed = failed
        self._retry_at = 0.0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            if time.monotonic() < self._retry_at:
                continue
            try:
                wanted = self._resolve()
                if wanted is not None and wanted != self._current:
                    self._swap(load(wanted))
                    self._current = wanted
                    logger.info("now serving %s (%s)", wanted.label, wanted.digest[:12])
            except Exception as error:
                # Whatever is wrong with the new model, the old one must go on answering.
                logger.exception("still serving %s: %s", self._current.label, error)
                self._failed()
                self._retry_at = time.monotonic() + _RETRY_SECONDS
