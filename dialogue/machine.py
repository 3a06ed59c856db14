"""What a model was made on, in one line for people."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil
import torch

_CPUINFO = Path("/proc/cpuinfo")


def describe_machine(device: torch.device) -> str:
    """Processor, cores, memory, the GPU where `device` is one, and the version of torch."""
    parts = [
        _processor(),
        f"{psutil.cpu_count() or 1} cores",
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
    ]
    if device.type == "cuda":
        parts.append(torch.cuda.get_device_name(device))
    return ", ".join([*parts, f"torch {torch.__version__.partition('+')[0]}"])


def _processor() -> str:
    """Linux tells the name of a processor in a file of its own."""
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
