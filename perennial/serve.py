"""`perennial serve`: the champion over HTTP."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from perennial.project import enter_project


def serve_command(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="instead of serve.port of params.yaml")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="serve this model folder instead of the champion")
    ] = None,
) -> None:
    """Serve the champion: an OpenAI-compatible endpoint, and a chat page.

    It follows whoever becomes champion, without dropping a request.
    """
    project, params = enter_project()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "transformers", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    from tasks.serve import serve

    serve(params, project=project, port=port, model_folder=model)
