"""`neckfrac token`: who may use the service's API."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import InputError
from .options import AsJson, print_json
from .serve import Data, Database, need_service

app = typer.Typer(help="Tokens for the web service.", no_args_is_help=True)


def _engine(data, database):
    need_service()
    from ..server.database import open_database
    from ..server.settings import ServerSettings, default_data

    settings = ServerSettings(data=(data or default_data()).absolute(), database=database)
    if not database:
        try:
            settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InputError(f"The data folder can't be used: {error.strerror}.", where=settings.data) from error
    return open_database(settings.database_url)


@app.command()
def create(
    data: Data = None,
    role: Annotated[str, typer.Option(help="read, write or admin.")] = "read",
    name: Annotated[str, typer.Option(help="Whose it is; stands in the audit.")] = "token",
    database: Database = "",
) -> None:
    """Print a new token. It is shown this once; the service keeps only its hash."""
    engine = _engine(data, database)
    from ..server.access import create_token

    typer.echo(create_token(engine, name, role))


@app.command("list")
def list_all(data: Data = None, database: Database = "", as_json: AsJson = False) -> None:
    """Names, roles and days of all tokens."""
    engine = _engine(data, database)
    import time

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..server.access import list_tokens

    rows = [
        (row["name"], row["role"], time.strftime("%Y-%m-%d", time.localtime(row["created"])), bool(row["revoked"]))
        for row in list_tokens(engine)
    ]
    if as_json:
        print_json({"tokens": [dict(zip(("name", "role", "made", "revoked"), row, strict=True)) for row in rows]})
        return
    table = Table()
    table.add_column("Name", overflow="fold")
    for heading in ("Role", "Made", "Revoked"):
        table.add_column(heading, no_wrap=True)
    for name, role, day, revoked in rows:
        table.add_row(escape(name), role, day, "yes" if revoked else "")
    Console().print(table)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Whose tokens and sessions are to be good no more.")],
    data: Data = None,
    database: Database = "",
) -> None:
    """Make all tokens of a name useless at once."""
    engine = _engine(data, database)
    from ..server.access import revoke_tokens

    count = revoke_tokens(engine, name)
    if not count:
        raise InputError("There is no such token.", advice="See: neckfrac token list")
    typer.echo(f"{count} revoked.")
