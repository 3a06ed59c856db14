from __future__ import annotations

import psutil
import torch

from dialogue.machine import describe_machine


def test_a_machine_is_told_in_one_line() -> None:
    told = describe_machine(torch.device("cpu"))
    assert f"{psutil.cpu_count()} cores" in told
    assert "GiB" in told
    assert told.endswith(f"torch {torch.__version__.partition('+')[0]}")
    assert "\n" not in told
    assert not told.startswith(",")
