"""One demonstration on the page: what was done, who told, the alert, and whether models are due."""

from datetime import date, timedelta

from loan_scoring.contract import Contract
from loan_scoring.lab.demo.figures import night_by_night
from loan_scoring.lab.demo.judged import demo_verdict, judge_monitors
from loan_scoring.lab.demo.kinds import AT_ONCE, MONITORS
from loan_scoring.lab.demo.seen import DemoRecord
from loan_scoring.models.card.blocks import Block, Heading, Note, Section, Table, Text


def demo_section(contract: Contract, seen: DemoRecord) -> Section:
    """Return the section of one demonstration."""
    is_right, sentence = demo_verdict(seen)
    return Section(
        seen.shown.title,
        [
            Text(f"{seen.shown.what} {_what_was_done(contract, seen)}"),
            Note(sentence, "good" if is_right else "bad"),
            Heading("Night by night"),
            *night_by_night(contract, seen),
            Heading("Who found it, who stayed quiet, and why that is right"),
            _monitors(seen),
            Heading("The alert, in its own words"),
            *_alerts(seen),
            Heading("Are new models asked for?"),
            *_requests(contract, seen),
            Heading("What to take from it"),
            Text(_lesson(contract, seen)),
        ],
    )


def _what_was_done(contract: Contract, seen: DemoRecord) -> str:
    scenario = seen.scenario
    settings = {
        "kind": scenario.kind,
        "column": scenario.column and contract.by_name[scenario.column].label,
        "factor": scenario.factor and f"{scenario.factor:g}",
        "share": scenario.share and f"{scenario.share:g}",
        "from level": scenario.from_level,
        "level": scenario.level,
    }
    said = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    return (
        f"From {seen.drifted[0].batch_id} to {seen.drifted[-1].batch_id}: {scenario.label} "
        f"(scenario {seen.name} of the contract: {said}). On {seen.calm[0].batch_id} to "
        f"{seen.calm[-1].batch_id}, before it, the loans are left as they are."
    )


def _monitors(seen: DemoRecord) -> Table:
    rows = []
    for told in judge_monitors(seen):
        unknown = f", not known on {told.unknown} nights" if told.unknown else ""
        why = told.why or "It found nothing beyond chance and the floors of the contract."
        rows.append(
            [
                MONITORS[told.kind],
                f"{told.calm} of {len(seen.calm)}",
                f"{told.drifted} of {len(seen.drifted)}{unknown}",
                told.should,
                why if told.is_right else "This is not as it should be.",
            ]
        )
    return Table(["monitor", "found before", "found when drifted", "should", "why"], rows)


def _alerts(seen: DemoRecord) -> list[Block]:
    if not seen.alerts:
        return [Text("None: no cause was found on any night, and table alerts has no row.")]
    blocks: list[Block] = []
    for row in seen.alerts:
        nights = "1 night" if row["batches"] == 1 else f"{row['batches']} nights"
        blocks += [
            Text(
                f"Kind {row['kind']}, {row['severity']}, {row['state']}; {nights} from "
                f"{row['batch_id']} to {row['last_batch_id']}. Its message, brought up to date "
                "with the last of them:"
            ),
            Note(row["message"]),
        ]
    if any(row["batches"] > 1 for row in seen.alerts):
        blocks.append(Text("A cause that lasts is one alert, and not one a night."))
    return blocks


def _requests(contract: Contract, seen: DemoRecord) -> list[Block]:
    policy = contract.retraining
    rule = (
        f"They are where the last batch and at least {policy.drifted} of the last "
        f"{policy.of_last} show other applicants or other defaults, and not again for "
        f"{policy.cooldown_nights} nights; bad data never ask."
    )
    if not seen.requests:
        return [Text(f"{rule} Here nothing gave cause: table retrain_requests has no row.")]
    asked = [row["batch_id"] for row in seen.requests if row["verdict"] == "asked"]
    said = (
        f"Here they were asked for with {', '.join(asked)}. On Airflow that starts the DAG train; "
        "here the same model goes on, so that all nights can be compared."
        if asked
        else "Here they were withheld:"
    )
    rows = [[row["batch_id"], row["cause"], row["verdict"], row["reason"]] for row in seen.requests]
    return [
        Text(f"{rule} {said}"),
        Table(["batch", "cause", "verdict", "reason"], rows, frozenset({0})),
    ]


def _lesson(contract: Contract, seen: DemoRecord) -> str:
    """Return what is to be learned where the demonstration shows it, else that it does not."""
    if not demo_verdict(seen)[0]:
        return "Nothing: this run does not show what it should."
    first, lag = seen.drifted[0].batch_id, contract.replay.outcome_lag_nights
    if seen.shown.kind in AT_ONCE:
        when = f"The drift of {first} was known on {first}, the night itself."
    else:
        known = date.fromisoformat(first) + timedelta(days=lag)
        when = f"The drift of {first} was known on {known}, when its outcomes landed."
    return f"{seen.shown.lesson} {when}"
