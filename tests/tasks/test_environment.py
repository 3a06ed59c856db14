"""What every command and stage sets for itself, beside what a person has set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks._environment import quiet_environment

DIRECT = "127.0.0.1,localhost,::1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, DIRECT),
        ({"NO_PROXY": "example.org"}, f"example.org,{DIRECT}"),
        ({"no_proxy": "example.org", "NO_PROXY": "other.org"}, f"example.org,{DIRECT}"),
        ({"no_proxy": "localhost"}, "localhost,127.0.0.1,::1"),
    ],
)
def test_servers_of_this_machine_are_asked_past_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: dict[str, str], after: str
) -> None:
    environment = {"HTTP_PROXY": "http://127.0.0.1:9", "PREFECT_HOME": "/elsewhere"} | before
    monkeypatch.setattr("os.environ", environment)
    for _ in range(2):
        quiet_environment(tmp_path)
        assert (environment["no_proxy"], environment["NO_PROXY"]) == (after, after)
    assert environment["PREFECT_HOME"] == "/elsewhere", "what a person has set stands"
    assert environment["DO_NOT_TRACK"] == "1"
