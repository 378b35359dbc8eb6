"""Build the page of the demonstrations.

The page has a summary, a section for each demonstration, and a list of the tables with the figures.
"""

from loan_scoring.lab.demo.demonstrations import MONITORS, SHORT
from loan_scoring.lab.demo.record import DemoNight, DemoRecord
from loan_scoring.lab.demo.run import CALM_NIGHTS, DemoResult
from loan_scoring.lab.demo.section import demo_section
from loan_scoring.lab.demo.verdicts import demo_verdict
from loan_scoring.models.card.blocks import Block, Card, Note, Section, Table, Text


def demo_page(done: DemoResult) -> Card:
    """Return the page of the demonstrations. All figures come from the demonstrations' tables."""
    title, champion = done.contract.title, done.champion
    metrics = champion["metrics"]
    return Card(
        f"Drift, demonstrated on {title[0].lower()}{title[1:]}",
        f"{done.contract.portfolio}; {done.source}. Champion {champion['model_version']} "
        f"({champion['algorithm']}), fitted {champion['created_at']:%Y-%m-%d %H:%M} UTC by "
        f"loan-scoring {champion['code_version']}: AUC {metrics['auc']:.3f} on a hold-out of "
        f"{metrics['rows']:,} loans, of which {metrics['default_rate']:.1%} defaulted. Written by "
        "loan-scoring demo-drift.",
        [
            _summary(done),
            *(demo_section(done.contract, record) for record in done.records),
            _tables(done),
        ],
    )


def _summary(done: DemoResult) -> Section:
    blocks: list[Block] = []
    if done.is_synthetic:
        blocks.append(
            Note(
                "synthetic: these loans are generated from the contract. The page shows how the "
                "monitors work; its figures say nothing about real loans.",
                "bad",
            )
        )
    blocks.append(
        Text(
            "Every night's loans are compared with the loans on which the model was fitted, and "
            "later with their outcomes. Each demonstration starts from the same champion and "
            f"replays the same nights of {done.per_night:,} loans: {CALM_NIGHTS} unchanged nights, "
            "then nights to which a scenario of the contract is applied. All of it runs through "
            "the functions that the nightly DAGs call."
        )
    )
    if done.overruled:
        blocks.append(
            Note(
                f"The champion failed the gate {', '.join(done.overruled)}; the demonstration "
                "uses it nevertheless.",
                "bad",
            )
        )
    if done.records:
        monitors = [SHORT[kind] for kind in MONITORS]
        blocks += [
            Table(
                ["drift", "what was changed", *monitors, "as it should be"],
                [_row(record) for record in done.records],
            ),
            Text(
                "A cell gives the number of drifted nights on which the monitor found drift; "
                f"“quiet” means none.{_no_monitor_finds_all(done.records)}"
            ),
        ]
    blocks += [Note(text, "bad") for text in done.missing]
    return Section("Summary", blocks)


def _no_monitor_finds_all(records: list[DemoRecord]) -> str:
    """Return a sentence for the page if no monitor found the drift in every demonstration.

    Otherwise, or if there are fewer than two demonstrations, return an empty string.
    """
    finders = [
        {kind for night in record.drifted for kind in MONITORS if night.found(kind)}
        for record in records
    ]
    if len(records) < 2 or set.intersection(*finders):
        return ""
    return " No monitor found all of them."


def _row(record: DemoRecord) -> list[str]:
    cells = []
    for kind in MONITORS:
        nights = sum(bool(night.found(kind)) for night in record.drifted)
        cells.append(f"{nights} of {len(record.drifted)}" if nights else "quiet")
    is_right, _ = demo_verdict(record)
    return [
        record.demonstration.kind,
        record.scenario.label,
        *cells,
        "yes" if is_right else "no",
    ]


def _tables(done: DemoResult) -> Section:
    records = done.records
    head = ["table", "what it holds", *(f"{each.demonstration.kind} drift" for each in records)]
    rows = [
        ["drift", "every test of every night", *(_tests(each.nights) for each in records)],
        [
            "performance_by_batch",
            "estimated, realised and hold-out figures side by side",
            *(f"{len(each.nights)} nights" for each in records),
        ],
        [
            "alerts",
            "one row for a cause, however long it lasts",
            *(_counted([row["kind"] for row in each.alerts]) for each in records),
        ],
        [
            "retrain_requests",
            "why new models were requested, or not",
            *(_counted([row["verdict"] for row in each.requests]) for each in records),
        ],
    ]
    scenario = " ".join(
        f"--scenario {each.scenario_name}@{CALM_NIGHTS + 1}" for each in records[:1]
    )
    return Section(
        "Where to find these figures",
        [
            Text("The page was read from these tables. Each demonstration left in them:"),
            Table(head, rows),
            Text(
                "The demonstrations' databases are deleted. To replay such a night in your own: "
                f"loan-scoring replay --nights {CALM_NIGHTS + 1} {scenario}, then ingest, score, "
                "metrics and outcomes; loan-scoring sql opens the tables, and the README has "
                "queries to start with."
            ),
        ],
    )


def _tests(nights: list[DemoNight]) -> str:
    levels = [test["level"] for night in nights for test in night.tests]
    return f"{sum(level != 'stable' for level in levels)} of {len(levels):,} tests not stable"


def _counted(words: list[str]) -> str:
    counts = {word: words.count(word) for word in dict.fromkeys(words)}
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "no row"
