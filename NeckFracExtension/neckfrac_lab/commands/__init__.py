"""The sub-commands of `neckfrac` that simulate, train and evaluate: options in, one call, words out."""

from __future__ import annotations

import typer


def add_to(app: typer.Typer) -> None:
    """Add the laboratory's commands to those of the runtime."""
    from . import bench, data, evaluate, simulate, train

    app.command()(bench.bench)
    app.command()(simulate.simulate)
    app.command()(train.train)
    app.add_typer(evaluate.app, name="evaluate")
    app.add_typer(data.app, name="data")
