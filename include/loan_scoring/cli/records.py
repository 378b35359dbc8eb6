"""Run the commands `loan` and `audit`, which show the scores of a loan and the audit log."""

import argparse
from typing import Any

from loan_scoring.cli.common import account_name, session_of
from loan_scoring.errors import StateError


def loan_command(options: argparse.Namespace) -> dict[str, Any]:
    """Show every published score of a loan, with the decision, the model and the application.

    With `--letter`, show the letter to the applicant instead.

    Raises:
        StateError: the loan has no published score, or there is no letter to write.
    """
    from loan_scoring import database
    from loan_scoring.database.readings import record_reading
    from loan_scoring.desk.loan_ids import typed_loan_id

    with session_of(options) as session:
        contract = session.contract
        loan_id = typed_loan_id(contract, options.loan_id)
        labels = {column.name: column.label for column in contract.stored}
        found = database.rows(session.connection, "select_loan_record", loan_id=loan_id)
        if found:
            record_reading(session, account_name(), loan_id, "letter" if options.letter else "cli")
        dropped = database.rows(session.connection, "select_dropped_months")
    if not found:
        months = ", ".join(row["month"] for row in dropped)
        retention = f"; retention has dropped {months}" if months else ""
        raise StateError(
            f"no published score of loan {loan_id} in {options.portfolio}; "
            f"see table applications, or quarantine{retention}"
        )
    if options.letter:
        from loan_scoring.desk.letter import decline_letter

        return {"letter": (text := decline_letter(contract, found[0])), "text": text}
    return {"loan": found, "text": "\n\n".join(_record_text(row, labels) for row in found)}


def _record_text(row: dict[str, Any], labels: dict[str, str]) -> str:
    """Return the lines in which `loan-scoring loan` describes one score of a loan.

    Args:
        row: row of the query `select_loan_record`.
        labels: label of each column of the contract, by column name.
    """
    from loan_scoring.models.registry import outcomes_as_of

    probability = row["default_probability"]
    score = (
        row["exclusion_reason"] if probability is None else f"default probability {probability:.4f}"
    )
    if row["grade"] is not None:
        score += f", grade {row['grade']}"
    fitted_on = ", ".join(
        f"{each['batch_id']} revision {each['revision']}"
        for each in row["training_data"]["batches"]
    )
    batch = f"batch {row['batch_id']} revision {row['revision']}"
    model = f"{row['propensity_version']}, {row['algorithm']} by loan-scoring {row['code_version']}"
    lines = [
        f"loan {row['loan_id']}, {_standing(row)}",
        f"decision     {row['decision']}, {score}",
        f"policy       {_policy_text(row['policy'])}",
        f"reasons      {'; '.join(row['reasons']) or 'none: only review and decline have them'}",
        f"persona      {row['persona'] or 'none'}",
        f"scored       {row['scored_at']:%Y-%m-%d %H:%M:%S} UTC in run {row['scoring_run_id']}",
        *_period_lines(row),
        f"application  {batch}, line {row['line_number']} of {row['source']}, "
        f"sha256 {row['source_sha256']}",
        f"model        {model}, "
        f"fitted on {row['training_data']['applications']:,} loans of {fitted_on}, "
        f"outcomes as of {outcomes_as_of(row)}",
        _promoted_text(row),
    ]
    gates = (row["evidence"] or {}).get("gates", [])
    lines += [f"  {gate['gate']:<14}{gate['sentence']}" for gate in gates]
    lines += _outcome_lines(row)
    lines += _application_lines(row["application"], labels)
    return "\n".join(lines)


def _promoted_text(row: dict[str, Any]) -> str:
    """Return the line on the promotion in force, or on the canary that decided the loan."""
    canary = row["canary"]
    if canary is not None and canary["propensity_version"] == row["propensity_version"]:
        return f"canary       it decided {canary['share']:.0%} of the loans beside the champion"
    return (
        f"promoted     {row['promoted_at']:%Y-%m-%d %H:%M} UTC by {row['promoted_by']} "
        f"(promotion {row['promotion_id']})"
    )


def _application_lines(application: dict[str, Any], labels: dict[str, str]) -> list[str]:
    """Return a line for each value, in the contract's order, and one for all that are missing."""
    values = {label: application.get(name) for name, label in labels.items() if name in application}
    known = {label: value for label, value in values.items() if value is not None}
    width = max([32, *map(len, known)]) + 2
    lines = [f"  {label:<{width}}{value}" for label, value in known.items()]
    missing = [label for label, value in values.items() if value is None]
    return [*lines, f"  missing: {', '.join(missing)}"] if missing else lines


def _standing(row: dict[str, Any]) -> str:
    if row["withdrawn_at"]:
        return (
            f"withdrawn score: {row['withdrawn_by']} withdrew the batch on "
            f"{row['withdrawn_at']:%Y-%m-%d %H:%M} UTC: {row['withdrawal_comment']}"
        )
    return "current score" if row["is_current"] else "replaced score"


def _period_lines(row: dict[str, Any]) -> list[str]:
    """Return a line for each period in which readers saw the score."""

    def minute(moment: str | None) -> str:
        return f"{moment[:16].replace('T', ' ')} UTC" if moment else "now"

    return [
        f"seen         {minute(each['visible_from'])} until {minute(each['visible_until'])}, "
        f"by {each['published_by']}"
        for each in row["periods"]
    ]


def _outcome_lines(row: dict[str, Any]) -> list[str]:
    """Return a line with the outcome of a loan, and a line for each statement on it."""
    words = {None: "not known", True: "defaulted", False: "paid"}
    since = f", observed {row['observed_on']}" if row["observed_on"] else ""
    lines = [f"outcome      {words[row['is_default']]}{since}"]
    for each in row["outcomes"]:
        observed = each["observed_on"] or "no date"
        back = "" if each["recovered"] is None else f", recovered {each['recovered']:,.2f}"
        kind = "correction" if each["is_correction"] else "file"
        by = f" by {each['changed_by']}" if each["changed_by"] else ""
        comment = f": {each['comment']}" if each["comment"] else ""
        lines.append(
            f"  {each['state']:<14}{words[each['is_default']]}, observed {observed}{back}, "
            f"{kind} {each['drop_id']} revision {each['revision']}{by}{comment}"
        )
    return lines


def _policy_text(policy: dict[str, Any] | None) -> str:
    if policy is None:
        return "not on record: scored by a release that did not keep it"
    limits = policy["decision"]
    excluded = ", ".join(each["reason"] for each in policy["exclusions"]) or "nothing"
    return (
        f"approve below {limits['approve_below']:g}, decline from {limits['decline_from']:g}; "
        f"refer on {excluded}"
    )


def audit_command(options: argparse.Namespace) -> dict[str, Any]:
    """Verify the audit log and the records that it answers for, and show the last entries.

    Raises:
        StateError: the chain is broken, a record differs, or the head that is expected is missing.
    """
    from loan_scoring.database import audit

    with session_of(options) as session:
        verified = audit.verify_chain(session)
        if faults := verified.sentences:
            more = f"; and {len(faults) - 20} more" if len(faults) > 20 else ""
            raise StateError(
                f"the audit log of {options.portfolio} or what it answers for was changed: "
                f"{'; '.join(faults[:20])}{more}; "
                "compare it with a backup, and check who may alter the tables"
            )
        if options.expect is not None:
            audit.expect_entry(session, options.expect)
        if options.anchor is not None:
            audit.write_anchor(session, options.anchor, verified)
        found = audit.recent_entries(session, limit=options.last)
    lines = [
        f"{each['entry_id']:>6}  {each['recorded_at']:%Y-%m-%d %H:%M:%S}  {each['done_by']:<20} "
        f"{each['action']:<22} {each['subject']}"
        for each in reversed(found)
    ]
    lines.append(f"{verified.entries} entries, one chain; its head is {verified.hash or 'none'}")
    return {
        "entries": verified.entries,
        "hash": verified.hash,
        "last": found,
        "text": "\n".join(lines),
    }
