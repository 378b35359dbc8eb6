"""Build the section on one demonstration: scenario, monitors, alerts, requests, lesson."""

from datetime import date, timedelta

from loan_scoring.contract import Contract
from loan_scoring.lab.demo.demonstrations import AT_ONCE, MONITORS
from loan_scoring.lab.demo.figures import night_by_night
from loan_scoring.lab.demo.record import DemoRecord
from loan_scoring.lab.demo.verdicts import demo_verdict, judge_monitors
from loan_scoring.models.card.blocks import Block, Heading, Note, Section, Table, Text


def demo_section(contract: Contract, record: DemoRecord) -> Section:
    """Return the section of the page about one demonstration, with plots, tables and a verdict."""
    is_right, sentence = demo_verdict(record)
    return Section(
        record.demonstration.title,
        [
            Text(f"{record.demonstration.what} {_scenario(contract, record)}"),
            Note(sentence, "good" if is_right else "bad"),
            Heading("Night by night"),
            *night_by_night(contract, record),
            Heading("Which monitors found it, which stayed quiet, and why"),
            _monitors(record),
            Heading("The alert"),
            *_alerts(record),
            Heading("Are new models requested?"),
            *_requests(contract, record),
            Heading("Lesson"),
            Text(_lesson(contract, record)),
        ],
    )


def _scenario(contract: Contract, record: DemoRecord) -> str:
    """Return sentences that name the drifted nights and the scenario with its settings."""
    scenario = record.scenario
    settings = {
        "kind": scenario.kind,
        "column": scenario.column and contract.by_name[scenario.column].label,
        "factor": scenario.factor and f"{scenario.factor:g}",
        "share": scenario.share and f"{scenario.share:g}",
        "from level": scenario.from_level,
        "level": scenario.level,
    }
    given = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    return (
        f"From {record.drifted[0].batch_id} to {record.drifted[-1].batch_id}: {scenario.label} "
        f"(scenario {record.scenario_name} of the contract: {given}). The nights before it, "
        f"{record.calm[0].batch_id} to {record.calm[-1].batch_id}, are unchanged."
    )


def _monitors(record: DemoRecord) -> Table:
    rows = []
    for result in judge_monitors(record):
        unknown = f", not known on {result.unknown} nights" if result.unknown else ""
        why = result.why or "It found nothing beyond chance and the floors of the contract."
        rows.append(
            [
                MONITORS[result.kind],
                f"{result.calm} of {len(record.calm)}",
                f"{result.drifted} of {len(record.drifted)}{unknown}",
                result.should,
                why if result.is_right else "This is not as it should be.",
            ]
        )
    return Table(["monitor", "found before", "found when drifted", "should", "why"], rows)


def _alerts(record: DemoRecord) -> list[Block]:
    if not record.alerts:
        return [Text("None: no cause was found on any night, and table alerts has no row.")]
    blocks: list[Block] = []
    for row in record.alerts:
        nights = "1 night" if row["batches"] == 1 else f"{row['batches']} nights"
        blocks += [
            Text(
                f"Kind {row['kind']}, {row['severity']}, {row['state']}; {nights} from "
                f"{row['batch_id']} to {row['last_batch_id']}. Its message, as of the last of "
                "them:"
            ),
            Note(row["message"]),
        ]
    if any(row["batches"] > 1 for row in record.alerts):
        blocks.append(Text("A cause that lasts is one alert, not one for each night."))
    return blocks


def _requests(contract: Contract, record: DemoRecord) -> list[Block]:
    policy = contract.retraining
    rule = (
        "New models are requested when the last batch and at least "
        f"{policy.drifted} of the last {policy.of_last} show other applicants or other defaults, "
        f"and then not again for {policy.cooldown_nights} nights. Bad data alone never request "
        "them."
    )
    if not record.requests:
        return [Text(f"{rule} Here there was no reason: table retrain_requests has no row.")]
    asked = [row["batch_id"] for row in record.requests if row["verdict"] == "asked"]
    outcome = (
        f"Here they were requested with {', '.join(asked)}. On Airflow a request starts the DAG "
        "train; here the same model stays in use, so that all nights can be compared."
        if asked
        else "Here the requests were withheld:"
    )
    rows = [
        [row["batch_id"], row["cause"], row["verdict"], row["reason"]] for row in record.requests
    ]
    return [
        Text(f"{rule} {outcome}"),
        Table(["batch", "cause", "verdict", "reason"], rows, frozenset({0})),
    ]


def _lesson(contract: Contract, record: DemoRecord) -> str:
    """Return the lesson of the demonstration and the date on which the drift was known.

    If a monitor did not behave as expected, return a sentence that there is no lesson.
    """
    if not demo_verdict(record)[0]:
        return "None: this run does not show what it should."
    first, lag = record.drifted[0].batch_id, contract.replay.outcome_lag_nights
    if record.demonstration.kind in AT_ONCE:
        when = f"The drift of {first} was known on {first}, the night itself."
    else:
        known = date.fromisoformat(first) + timedelta(days=lag)
        when = f"The drift of {first} was known on {known}, when its outcomes landed."
    return f"{record.demonstration.lesson} {when}"
