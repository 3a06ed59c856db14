"""prefect.yaml: a real server takes the scheduled deployments as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prefect.client.orchestration import get_client

ROOT = Path(__file__).parents[2]


def test_deploy_all_is_accepted(server: str, tmp_path: Path) -> None:
    """From another folder, too: the worker finds the project, not whoever asked for it."""
    environment = {
        **os.environ,
        "PREFECT_API_URL": server,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PWD": str(tmp_path),
    }
    done = subprocess.run(
        # Whatever set up this environment, make is to leave it alone.
        ["make", "-C", str(ROOT), "--old-file=.venv/.installed", "deploy"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    with get_client(sync_client=True) as client:
        found = {deployment.name: deployment for deployment in client.read_deployments()}
    assert set(found) == {"nightly", "hourly", "weekly"}
    for deployment in found.values():
        (schedule,) = deployment.schedules
        assert schedule.active
        assert deployment.work_pool_name == "perennial"
        assert deployment.global_concurrency_limit is not None
        assert deployment.global_concurrency_limit.limit == 1
        assert deployment.concurrency_options is not None
        assert deployment.concurrency_options.collision_strategy == "CANCEL_NEW"
        (step,) = deployment.pull_steps or ()
        assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(ROOT)
