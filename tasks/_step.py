"""How a step is started: `python -m tasks.<step>` turns its options into one plain call."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from dialogue.config import Params, load_params
from dialogue.log import Log, SilentLog
from tasks._environment import quiet_environment
from tasks.faults import INTERRUPTED, told_to_people
from tasks.stores import named_stores


def run(step: Callable[..., None]) -> None:
    """Run a step as DVC does: settings from params.yaml, paths from the command line.

    The step's keyword parameters become options (`--records PATH`); its first two, `params` and
    `log`, are supplied here. A fault the person can mend ends as one `error:` line and exit
    status 2, an interruption as 130; anything else is our own bug and keeps its traceback.
    """
    options = [
        parameter.replace(annotation=Annotated[parameter.annotation, typer.Option()])
        for parameter in inspect.signature(step, eval_str=True).parameters.values()
        if parameter.name not in ("params", "log")
    ]

    def command(**values: Any) -> None:
        _execute(step, values)

    command.__doc__ = step.__doc__
    command.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    command.__annotations__ = {option.name: option.annotation for option in options}
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app()


def _execute(step: Callable[..., None], values: dict[str, Any]) -> None:
    project = Path.cwd()
    quiet_environment(project)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)
    for noisy in ("alembic", "mlflow", "httpx", "great_expectations", "sentence_transformers"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        with told_to_people(), named_stores():
            params = load_params(project / "params.yaml")
            with _reporting(params, step.__name__, project) as log:
                step(params, log, **values)
    except KeyboardInterrupt:
        sys.stderr.write(f"{step.__name__}: interrupted; the next run goes on from here\n")
        raise SystemExit(INTERRUPTED) from None


def _reporting(params: Params, name: str, project: Path) -> contextlib.AbstractContextManager[Log]:
    """The stage's run in the tracker; of the processes that `torchrun` started, the first one's."""
    if os.environ.get("RANK", "0") != "0":
        return contextlib.nullcontext(SilentLog())
    # Imported here: a mistyped setting is answered at once, without the tracker's start-up.
    from tasks import tracking  # noqa: PLC0415

    return tracking.stage_run(name, _section(params, name), project)


def _section(params: Params, name: str) -> dict[str, object]:
    """The step's own settings, as they stand in params.yaml."""
    dumped: dict[str, object] = params.model_dump(by_alias=True)[name]
    return dumped


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
