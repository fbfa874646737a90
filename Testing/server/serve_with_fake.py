"""`neckfrac serve` with the worker that ``$FAKE_WORKER`` names, a part of the command a line."""

import os
from dataclasses import replace

import typer
from neckfrac.commands import serve


def with_fake(settings):
    changed = {"worker_command": tuple(os.environ["FAKE_WORKER"].split("\n"))}
    for name in ("lease", "quiet"):
        if name.upper() in os.environ:
            changed[name] = float(os.environ[name.upper()])
    if "FIRST_PAUSE" in os.environ and settings.pacs:
        changed["pacs"] = replace(settings.pacs, first_pause=float(os.environ["FIRST_PAUSE"]))
    return replace(settings, **changed)


if __name__ == "__main__":
    serve.adjust = with_fake
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(serve.serve)
    app()
