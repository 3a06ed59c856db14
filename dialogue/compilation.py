"""Compilation by torch, such that a resumed run compiles what the undisturbed one did."""

from __future__ import annotations

import functools
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import torch


def can_compile() -> bool:
    """Whether torch finds the C++ compiler that it needs on a CPU."""
    return torch.cuda.is_available() or any(map(shutil.which, ("g++", "clang++", "c++")))


@functools.cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled once for every size."""
    # Equal sizes by chance must not become one size, nor kernels depend on which batch came first.
    torch.fx.experimental._config.use_duck_shape = False
    torch._dynamo.config.recompile_limit = 64
    made = torch.compile(function, dynamic=True)

    @functools.wraps(function)
    def quiet(*arguments: Any) -> Any:
        with warnings.catch_warnings():
            # Tracing looks at the gradient of every input, and torch warns of itself.
            warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor")
            return made(*arguments)

    return quiet
