"""What a run says at its end is what people wrote, to the letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from perennial.summary import _print_release
from perennial.terminal import open_console

WORDS = "wrong [/sad], [see #12] :smile:"


def test_a_reason_is_printed_as_it_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PERENNIAL_RELEASES_URL", raising=False)
    release = {"version": 1, "created": False, "outcome": "refused", "reason": WORDS}
    _print_release(open_console(), tmp_path, release | {"alias": f"put back: {WORDS}"})
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count(WORDS) == 2, "of the refusal, and of the alias"
