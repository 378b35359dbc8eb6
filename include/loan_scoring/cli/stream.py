"""Define and run `loan-scoring stream`: consume a stream, seal its days, send a file."""

import argparse
import asyncio
import logging
import os
import socket
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loan_scoring import settings
from loan_scoring.cli.arguments import batch_id, count
from loan_scoring.cli.common import account_name, add_command, run_measured

if TYPE_CHECKING:
    from loan_scoring.database.session import Session

MOST = 500
"""Messages of a micro-batch, unless --max-rows says another number."""


def add_stream_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command `stream` with its actions to the command line."""
    stream = commands.add_parser(
        "stream", help="take applications from a broker, and seal the days of a stream"
    )
    actions = stream.add_subparsers(required=True, metavar="ACTION")
    broker = argparse.ArgumentParser(add_help=False)
    broker.add_argument(
        "--broker",
        metavar="URL",
        default=settings.broker_url(),
        help="redis://HOST:PORT or kafka://HOST:PORT; default: LOAN_SCORING_BROKER_URL",
    )
    run = add_command(
        actions, "run", run_command, "take applications until it is stopped", common, broker
    )
    run.add_argument(
        "--consumer",
        default=socket.gethostname(),
        metavar="NAME",
        help="name of this consumer, the same after a restart; default: the host's name",
    )
    run.add_argument(
        "--max-rows", type=count, default=MOST, metavar="N", help="messages taken at once"
    )
    run.add_argument(
        "--sign", type=Path, metavar="FILE", help="touch FILE every 10 s, for a health check"
    )
    seal = add_command(
        actions, "seal", seal_command, "close, check and publish the days of the stream", common
    )
    seal.add_argument(
        "--batch",
        type=batch_id,
        metavar="YYYY-MM-DD",
        help="this day, also before its end; default: every ended day",
    )
    seal.add_argument(
        "--accept", metavar="REASON", help="with --batch: publish it although it fails its check"
    )
    seal.set_defaults(refuse=seal.error)
    send = add_command(
        actions, "send", send_command, "send the rows of a file as messages", common, broker
    )
    send.add_argument("--source", required=True, metavar="FILE", help="a file of applications")
    send.add_argument("--rate", type=count, default=0, metavar="N", help="messages a second")


def run_command(options: argparse.Namespace) -> dict[str, Any]:
    """Take applications from the broker until SIGTERM. The micro-batch at work is finished."""
    from contextlib import ExitStack

    from loan_scoring.cli.common import session_of
    from loan_scoring.scoring.stream.brokers import channels, open_stream
    from loan_scoring.scoring.stream.service import Consumer

    logging.getLogger("loan_scoring").setLevel(logging.INFO)
    names = channels(options.portfolio)

    async def consume() -> int:
        stream = open_stream(options.broker, names, options.consumer, max(options.max_rows, 1))
        return await Consumer(stream, names, reopen, options.consumer, options.sign).run()

    with ExitStack() as opened:

        def reopen() -> "Session":
            opened.pop_all().close()
            return opened.enter_context(session_of(options))

        reopen()  # so that a wrong portfolio or database is told at once
        taken = asyncio.run(consume())
    return {"messages": taken, "text": f"stopped after {taken:,} messages"}


def seal_command(options: argparse.Namespace) -> dict[str, Any]:
    """Seal, check and publish one day of the stream, or every ended day."""
    from loan_scoring.errors import SourceError
    from loan_scoring.scoring.stream.day import finish_day, finish_days

    if options.accept is not None and not (options.batch and options.accept.strip()):
        options.refuse("--accept belongs to --batch and needs a reason")
    result: dict[str, Any] = {}

    def work(session: "Session") -> int:
        by = account_name()
        if options.batch is not None:
            sealed = finish_day(session, options.batch, by, options.accept)
            result.update(asdict(sealed), days=[options.batch], text=sealed.sentence)
            return sealed.received
        days, wrong = finish_days(session, by)
        if wrong:
            raise SourceError("; ".join(wrong))
        result.update(days=days, text=f"days to compare: {', '.join(days) or 'none'}")
        return len(days)

    run_measured(options, "stream.seal", work)
    result["text"] += "".join(
        f"\nnext: loan-scoring metrics --portfolio {options.portfolio} --batch {day}"
        for day in result["days"]
    )
    return result


def send_command(options: argparse.Namespace) -> dict[str, Any]:
    """Send each row of a file of applications as a message, as a lender's system does."""
    from loan_scoring.cli.common import session_of
    from loan_scoring.scoring.stream.brokers import channels, open_stream
    from loan_scoring.scoring.stream.sending import file_messages, send_all

    names = channels(options.portfolio)
    with session_of(options) as session:
        messages = file_messages(session.contract, options.source)

    async def send() -> int:
        stream = open_stream(options.broker, names, f"sender-{os.getpid()}", 1)
        return await send_all(stream, names, messages, options.rate)

    sent = asyncio.run(send())
    return {"sent": sent, "text": f"{sent:,} messages sent to {names.applications}"}
