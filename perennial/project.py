"""Where a command stands: the project's folder, checked, and its settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasks._environment import quiet_environment
from tasks.graph import check_project

if TYPE_CHECKING:
    from dialogue.config import Params


def enter_project() -> tuple[Path, Params]:
    """The working directory as a project, its services kept quiet, and its valid settings.

    Raises:
        ValueError: it is no project's folder, or a setting is not valid; one line per fault.
    """
    from dialogue.config import load_params

    project = Path.cwd()
    quiet_environment(project)
    check_project(project)
    return project, load_params(Path("params.yaml"))
