"""Names of what is kept between runs: they follow from the settings and from the code behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
_PACKAGES = ("benchmarks", "dialogue")


def state(settings: Iterable[str], code: Iterable[Path]) -> str:
    """16 hexadecimal digits, other ones after any change.

    Args:
        settings: what the values follow from besides the code.
        code: the files that compute them.
    """
    texts = [*settings, *(file.read_text(encoding="utf-8") for file in code)]
    return hashlib.sha256("\x1f".join(texts).encode()).hexdigest()[:16]


def code_of(module: str, *, but: Iterable[str] = ()) -> list[Path]:
    """Files of a module and of all of ours that it imports, directly or not.

    Args:
        module: its dotted name.
        but: names of modules and packages that are left out.
    """
    graph = grimp.build_graph(*_PACKAGES, cache_dir=None)
    names = {module, *graph.find_upstream_modules(module)}
    left_out = tuple(f"{name}." for name in but)
    return [_file(name) for name in sorted(names) if not f"{name}.".startswith(left_out)]


def _file(module: str) -> Path:
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
