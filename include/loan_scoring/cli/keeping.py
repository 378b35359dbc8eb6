"""The commands of who keeps the database: roles, migrate."""

import argparse
from typing import Any

from loan_scoring import settings


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands to the parser."""

    def command(name: str, handler: Any, help_: str) -> Any:
        made = commands.add_parser(name, help=help_, description=help_, parents=[common])
        made.set_defaults(handler=handler)
        return made

    command(
        "roles", roles, "make owner, application and reader on a server; passwords: environment"
    )
    command("migrate", migrate, "bring the schema of every portfolio up to date, as the owner")


def roles(_: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import roles

    made = roles.from_environment()
    return {"roles": made, "text": f"roles ready: {', '.join(made)}"}


def migrate(options: argparse.Namespace) -> dict[str, Any]:
    from contextlib import closing

    from loan_scoring import contract, database, migrations

    url = options.database or settings.owner_url()
    applied = {}
    for portfolio in contract.names():
        with closing(database.connect(portfolio, url)) as connection:
            applied[portfolio] = migrations.migrate(connection, contract.load(portfolio))
    lines = [f"{name}: {', '.join(steps) or 'up to date'}" for name, steps in applied.items()]
    return {"applied": applied, "text": "\n".join(lines)}
