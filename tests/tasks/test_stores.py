"""Whose fault it is that a store cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tasks import releases, tracking
from tasks.faults import is_for_people
from tasks.stores import check_tracking, named_stores
from tests.perennial.conftest import listening


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("", r"^mlflow\.db: MLflow cannot be used \(file is not a database\); see that it can be"),
        ("nonsense://x", "^MLFLOW_TRACKING_URI: MLflow cannot be used .* unsupported URI"),
    ],
    ids=["damaged", "misnamed"],
)
def test_mlflow_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, said: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (tmp_path / "mlflow.db").write_text("no database, but words")
    with pytest.raises(ValueError, match=said) as caught, named_stores():
        tracking.open_tracking(tmp_path)
    assert is_for_people(caught.value)
    assert "\n" not in str(caught.value)


def test_what_no_store_said_passes(tmp_path: Path) -> None:
    with pytest.raises(sa.exc.OperationalError), named_stores():
        sa.create_engine(f"sqlite:///{tmp_path}/none/a.db").connect()
    with pytest.raises(ZeroDivisionError), named_stores():
        releases.open_store(tmp_path / str(1 // 0))


def test_a_server_that_answers_at_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses(_scope: object, _receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 401})  # type: ignore[operator]
        await send({"type": "http.response.body"})  # type: ignore[operator]

    with listening(refuses) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        check_tracking()
    with pytest.raises(ValueError, match="nothing answers"):
        check_tracking()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    check_tracking()
