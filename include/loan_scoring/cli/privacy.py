"""Define and run `privacy export` and `privacy erase`, the rights of an applicant."""

import argparse
import json
from typing import Any

from loan_scoring import settings
from loan_scoring.cli.common import account_name, add_command, session_of
from loan_scoring.errors import StateError


def add_privacy_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command `privacy` with its two parts."""
    privacy = commands.add_parser("privacy", help="export or erase all that is held on one loan")
    parts = privacy.add_subparsers(dest="part", metavar="PART", required=True)
    export = add_command(
        parts, "export", _export, "print all that is held on a loan as JSON", common
    )
    erase = add_command(
        parts, "erase", _erase, "erase a loan; its decisions stay under a pseudonym", common
    )
    for each in (export, erase):
        each.add_argument("--loan", required=True, metavar="ID", help="its loan_id")
    erase.add_argument("--reason", required=True, metavar="TEXT", help="why; it is kept")


def _export(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database.readings import record_reading
    from loan_scoring.desk.loan_ids import typed_loan_id
    from loan_scoring.privacy.held import export_loan

    with session_of(options, settings.owner_url()) as session:
        key = typed_loan_id(session.contract, options.loan)
        held = export_loan(session, key)
        record_reading(session, account_name(), key, "export")
    return {**held, "text": json.dumps(held, indent=2, default=str, ensure_ascii=False)}


def _erase(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.desk.loan_ids import typed_loan_id
    from loan_scoring.privacy.erase import erase_loan

    if not options.reason.strip():
        raise StateError("--reason is empty: say why the loan is erased; nothing was erased")
    with session_of(options, settings.owner_url()) as session:
        key = typed_loan_id(session.contract, options.loan)
        done = erase_loan(session, key, options.reason, account_name())
    lines = [f"erased; scores and decisions are kept under {done.pseudonym}"]
    lines += [
        f"{'rewritten' if each['new_sha256'] else 'removed'}  {each['path']}" for each in done.files
    ]
    lines += [f"NOT READ   {path}: {why}" for path, why in done.not_read.items()]
    lines += [
        f"elsewhere  batch {each['batch_id']} came from {each['source']}: ask its sender"
        for each in done.sources_elsewhere
    ]
    lines += [
        f"backup     {each['folder']} of {each['taken_at']:%Y-%m-%d} holds it until "
        f"{each['ends_on'] or 'somebody deletes it: no end is on record'}"
        for each in done.backups
    ]
    return {**vars(done), "text": "\n".join(lines)}
