"""Send the rows of a file as messages, as a lender's system sends them one by one."""

import asyncio
import time
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from loan_scoring.contract import KEY, Contract
from loan_scoring.contract.business_dates import local_time
from loan_scoring.contract.presence import split_columns_of_file
from loan_scoring.ingest.files.table import open_applications
from loan_scoring.ingest.row_rules import RowRules
from loan_scoring.scoring.stream.brokers import Channels, Stream
from loan_scoring.scoring.stream.messages import make_message

AT_ONCE = 200
"""Messages that are sent together if no rate is given."""


def file_messages(contract: Contract, location: str | Path) -> list[bytes]:
    """Return a message for each row of a file that breaks no rule. The loan is the message's id.

    Raises:
        SourceError: the file cannot be read, or a column of the contract is missing.
    """
    today = str(local_time(contract.schedules.timezone).date())
    wanted, optional = split_columns_of_file(contract, today)
    rules = RowRules(contract)
    found = []
    with open_applications(contract, location, wanted, optional) as table:
        for block in table:
            rows, _ = rules.apply(block)
            for row in rows.drop_columns(["line_number"]).to_pylist():
                application = {name: _plain(value) for name, value in row.items()}
                found.append(make_message(f"{contract.portfolio}-{row[KEY]}", application))
    return found


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value


async def send_all(stream: Stream, names: Channels, messages: Sequence[bytes], rate: int) -> int:
    """Send messages, as many a second as `rate` says, or without a pause if it is 0."""
    await stream.broker.start()
    try:
        started, size = time.monotonic(), AT_ONCE if not rate else max(rate // 50, 1)
        for place in range(0, len(messages), size):
            if rate:
                await asyncio.sleep(max(started + place / rate - time.monotonic(), 0))
            await stream.publish(names.applications, messages[place : place + size])
    finally:
        await stream.broker.stop()
    return len(messages)
