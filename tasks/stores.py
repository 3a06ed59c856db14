"""A store that cannot be used: which one it is, and what to do."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

_TRACKING = ("MLflow", "MLFLOW_TRACKING_URI", "mlflow.db")
_RELEASES = ("the release store", "PERENNIAL_RELEASES_URL", "releases.db")
# Door → what stands behind it, the variable that names it, and the file where none does.
_DOORS = {
    "tasks.releases": _RELEASES,
    "tasks.registry": _TRACKING,
    "tasks.tracking": _TRACKING,
}
_PACKAGES = ("sqlalchemy", "sqlite3", "alembic", "mlflow")
_ANSWER_SECONDS = 10.0


@contextmanager
def named_stores() -> Iterator[None]:
    """What came out of a store's door as its library's fault is told as the store's.

    Raises:
        ValueError: a store is damaged, out of reach or misnamed, or its driver is missing.
    """
    try:
        yield
    except Exception as error:
        store = _store(error)
        if store is None:
            raise
        name, variable, file = store
        said = " ".join(str(getattr(error, "orig", None) or error).partition("\n")[0].split())
        if os.environ.get(variable):
            mend = "start it, install its driver, or correct the address"
            raise ValueError(f"{variable}: {name} cannot be used ({said}); {mend}") from error
        mend = "see that it can be written, or restore it from a backup"
        raise ValueError(f"{file}: {name} cannot be used ({said}); {mend}") from error


def check_tracking() -> None:
    """Ask MLflow's server whether it is there: its own client would try for four minutes.

    Raises:
        ValueError: nothing answers at MLFLOW_TRACKING_URI.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri.startswith(("http://", "https://")):
        return
    import httpx  # noqa: PLC0415 - only where there is a server to ask

    try:
        # Whom to trust is the client's affair: it has certificates and settings of its own.
        httpx.get(uri, timeout=_ANSWER_SECONDS, verify=False)  # noqa: S501
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ValueError(
            f"MLFLOW_TRACKING_URI: nothing answers at {uri} ({error}); start `mlflow server`, "
            "or correct or unset it"
        ) from None


def _store(error: Exception) -> tuple[str, str, str] | None:
    """Whose fault it is; None: no store's."""
    package = type(error).__module__.partition(".")[0]
    if package not in _PACKAGES and not isinstance(error, ImportError):
        return None
    passed = [
        _DOORS.get(frame.f_globals["__name__"])
        for frame, _ in traceback.walk_tb(error.__traceback__)
        # While a door is being imported nobody has gone through it.
        if frame.f_code.co_name != "<module>"
    ]
    return next(filter(None, reversed(passed)), None)
