"""The commands that show: status, loan, audit, sql, bench, calibrate."""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from loan_scoring import settings
from loan_scoring.errors import StateError


def status_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database.session import open_session
    from loan_scoring.local.postgres import portfolio_database_url
    from loan_scoring.monitoring.status import read_status
    from loan_scoring.monitoring.status_text import render_status

    with open_session(options.portfolio, portfolio_database_url(options.database)) as session:
        state = read_status(session)
    state["database_url"] = _analyst_url(options)
    state["airflow"] = _airflow()
    where = f"database  {state['database_url']}"
    airflow = state["airflow"]
    ui = f"Airflow   {airflow['url'] if airflow else 'not running; `make up` starts it'}"
    return {**state, "text": f"{where}\n{ui}\n\n{render_status(state)}"}


def _airflow() -> dict[str, Any] | None:
    from loan_scoring.local.airflow_status import stack_status

    found = stack_status(settings.state_dir())
    if found is not None:
        return {"url": found.url, "passwords": found.password_file}
    # In a container of one of its services Airflow runs beside us, and not as ours.
    elsewhere = os.environ.get("AIRFLOW__API__BASE_URL")
    return {"url": elsewhere} if elsewhere else None


def _analyst_url(options: argparse.Namespace) -> str:
    """Return the URL for psql: the reader's of the embedded server, else the given one.

    The password of a database that is not ours to make stays out of the output: psql takes it
    from PGPASSWORD or ~/.pgpass.
    """
    from loan_scoring import database

    given = options.database or settings.database_url()
    if given:
        url = database.without_password(database.libpq_url(given))
    else:
        from loan_scoring.local.postgres import embedded

        url = embedded().url(database.READER)
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{options.portfolio}"


def sql_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import database
    from loan_scoring.database.session import open_session
    from loan_scoring.local.postgres import portfolio_database_url

    if options.query is None:
        return {"exit": _psql(options)}
    with open_session(options.portfolio, portfolio_database_url(options.database)) as session:
        header, rows = database.select_read_only(session.connection, options.query)
    if options.json:
        return {"columns": header, "rows": rows}
    csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])
    return {}


def bench_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.lab.bench.run import run_benches

    with tempfile.TemporaryDirectory(prefix="loan-scoring-bench-") as folder:
        results = run_benches(options.portfolio, Path(folder), options.source, options.stage)
    return {
        "benches": [result.as_json() for result in results],
        "text": "\n\n".join(result.as_text() for result in results),
    }


def calibrate_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.lab.calibrate import figures
    from loan_scoring.lab.calibrate.page import missed_limits, write_figures_page
    from loan_scoring.lab.calibrate.run import CalibrationPlan, calibrate_drift_decision

    given = {name: getattr(options, name) for name in ("rounds", "power_rounds", "peer_rounds")}
    given["jobs"] = options.jobs
    plan = CalibrationPlan(
        **{name: value for name, value in given.items() if value is not None},
        is_swapped=options.swap,
    )
    measured = calibrate_drift_decision(options.portfolio, plan, options.source)
    flags = [f"--{name.replace('_', '-')} {n}" for name, n in given.items() if n is not None]
    flags += ["--swap"] * options.swap
    written = write_figures_page(
        measured,
        Path(options.docs) if options.docs else settings.home() / "docs",
        " ".join(["loan-scoring calibrate", *flags]),
    )
    shares = figures.false_alarms(measured)
    lines = [
        *(f"  {size:>6,} loans  {share.as_text()} false" for size, share in shares.items()),
        *(
            f"  {each.label}: {each.found.as_text()} found"
            for each in figures.required_powers(measured)
        ),
    ]
    return {
        "page": written,
        "source": measured.source,
        "false_alarms": {size: share.value for size, share in shares.items()},
        "detection": {each.shift: each.found.value for each in figures.required_powers(measured)},
        "missed": missed_limits(measured),
        "text": "\n".join([f"{measured.source}; {written}", *lines]),
    }


def _psql(options: argparse.Namespace) -> int:
    from loan_scoring import database
    from loan_scoring.database.programs import postgres_program
    from loan_scoring.local.postgres import embedded

    given = options.database or settings.database_url()
    url = given or embedded().start().url(database.READER)
    environment = database.libpq_environment(database.libpq_parameters(url))
    told = f"-c search_path={options.portfolio} -c default_transaction_read_only=on"
    return subprocess.call([str(postgres_program("psql"))], env=environment | {"PGOPTIONS": told})


def loan_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import database
    from loan_scoring.database.session import open_session
    from loan_scoring.desk.decisions import typed_loan_id
    from loan_scoring.local.postgres import portfolio_database_url

    with open_session(options.portfolio, portfolio_database_url(options.database)) as session:
        key = typed_loan_id(session.contract, options.loan_id)
        label = {column.name: column.label for column in session.contract.columns}
        found = database.rows(session.connection, "select_loan_record", loan_id=key)
        gone = database.rows(session.connection, "select_dropped_months")
    if not found:
        months = ", ".join(row["month"] for row in gone)
        dropped = f"; retention has dropped {months}" if months else ""
        raise StateError(
            f"no published score of loan {key} in {options.portfolio}; "
            f"see table applications, or quarantine{dropped}"
        )
    return {"loan": found, "text": "\n\n".join(_told(row, label) for row in found)}


def _told(row: dict[str, Any], label: dict[str, str]) -> str:
    chance = row["default_probability"]
    score = row["exclusion_reason"] if chance is None else f"default probability {chance:.4f}"
    outcome = {None: "not known", True: "defaulted", False: "paid"}[row["is_default"]]
    since = f", observed {row['observed_on']}" if row["observed_on"] else ""
    fitted = ", ".join(
        f"{each['batch_id']} revision {each['revision']}"
        for each in row["training_data"]["batches"]
    )
    batch = f"batch {row['batch_id']} revision {row['revision']}"
    model = f"{row['propensity_version']}, {row['algorithm']} by loan-scoring {row['code_version']}"
    lines = [
        f"loan {row['loan_id']}, {'the score that counts' if row['is_current'] else 'replaced'}",
        f"decision     {row['decision']}, {score}",
        f"policy       {_policy(row['policy'])}",
        f"reasons      {'; '.join(row['reasons']) or 'none: only review and decline have them'}",
        f"persona      {row['persona'] or 'none'}",
        f"scored       {row['scored_at']:%Y-%m-%d %H:%M:%S} UTC in run {row['scoring_run_id']}",
        f"application  {batch}, line {row['line_number']} of {row['source']}, "
        f"sha256 {row['source_sha256']}",
        f"model        {model}, "
        f"fitted on {row['training_data']['applications']:,} loans of {fitted}",
        f"promoted     {row['promoted_at']:%Y-%m-%d %H:%M} UTC by {row['promoted_by']} "
        f"(promotion {row['promotion_id']})",
    ]
    gates = row["evidence"].get("gates", [])
    lines += [f"  {gate['gate']:<14}{gate['sentence']}" for gate in gates]
    lines.append(f"outcome      {outcome}{since}")
    lines += [
        f"  {label[name]:<34}{'missing' if value is None else value}"
        for name, value in row["application"].items()
    ]
    return "\n".join(lines)


def _policy(policy: dict[str, Any] | None) -> str:
    if policy is None:
        return "not on record: scored by a release that did not keep it"
    limits = policy["decision"]
    excluded = ", ".join(each["reason"] for each in policy["exclusions"]) or "nothing"
    return (
        f"approve below {limits['approve_below']:g}, decline from {limits['decline_from']:g}; "
        f"refer on {excluded}"
    )


def audit_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database import audit
    from loan_scoring.database.session import open_session
    from loan_scoring.local.postgres import portfolio_database_url

    with open_session(options.portfolio, portfolio_database_url(options.database)) as session:
        verified = audit.verify_chain(session)
        found = audit.recent_entries(session, limit=options.last)
    faults = [f"entry {each['entry_id']}: {each['fault']}" for each in verified.faults]
    if faults:
        raise StateError(
            f"the audit log of {options.portfolio} is not as it was written: {'; '.join(faults)}; "
            "compare with a backup, and see who may alter the table"
        )
    lines = [
        f"{each['entry_id']:>6}  {each['recorded_at']:%Y-%m-%d %H:%M:%S}  {each['done_by']:<20} "
        f"{each['action']:<22} {each['subject']}"
        for each in reversed(found)
    ]
    said = f"{verified.entries} entries, one chain; its head is {verified.hash or 'none'}"
    return {
        "entries": verified.entries,
        "hash": verified.hash,
        "last": found,
        "text": "\n".join([*lines, said]),
    }
