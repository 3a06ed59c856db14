"""The lifelong strategies' formulas against Avalanche's, on the same small model and dialogues.

Avalanche is installed into a virtual environment that lives as long as the comparison: it needs
torchvision and others that nothing here uses, which `_continual_peer.py` replaces by blanks.
"""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from benchmarks.form import Bound, Row, quick_wanted, report

BOUNDS: dict[str, Bound] = {
    "fisher_difference": ("max", 1e-4),
    "online_fisher_difference": ("max", 1e-4),
    "ewc_penalty_difference": ("max", 1e-4),
    "lwf_difference": ("max", 1e-4),
    "der_difference": ("max", 1e-2),
    "memory_parts_difference": ("max", 0.0),
}
"""Relative differences; the parts of a memory are numbers of dialogues."""
_AVALANCHE = "avalanche-lib==0.6.0"


def main() -> int:
    """Install the peer, let both sides compute, and compare."""
    quick = quick_wanted(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        python = _environment(Path(folder))
        done = subprocess.run(
            [python, "-m", "benchmarks._continual_peer"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        )
    pairs: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    rows, figures = [], {}
    for name, (ours, peer, difference) in pairs.items():
        figures[f"{name}_difference"] = difference
        rows.append(
            Row(name.replace("_", " "), f"{ours:.6g}", f"{peer:.6g}", f"± {difference:.1g}")
        )
    return report("continual", rows, figures, BOUNDS, quick=quick)


def _environment(folder: Path) -> str:
    """A virtual environment with Avalanche that also sees what this one has."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", _AVALANCHE], check=True)
    here = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    (Path(here) / "project.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return python


if __name__ == "__main__":
    sys.exit(main())
