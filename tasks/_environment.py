"""The services kept quiet and at home: no telemetry, no state elsewhere, no busy waits."""

from __future__ import annotations

import os
from pathlib import Path

_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def quiet_environment(project: Path) -> None:
    """Set what the services read at import; what a person has set already stands."""
    quiet = {
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        "GX_ANALYTICS_ENABLED": "false",
        # Stages share the cores: threads that spin while they wait take them from one another.
        "GOMP_SPINCOUNT": "2000",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "PREFECT_HOME": str(project / ".prefect"),
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    # A proxy of the surroundings knows nothing of this machine's own servers.
    known = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    direct = ",".join(dict.fromkeys([*filter(None, known), *_THIS_MACHINE]))
    os.environ.update({"no_proxy": direct, "NO_PROXY": direct})
