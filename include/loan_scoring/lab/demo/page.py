"""The page of the demonstrations: what was done, what was seen, and what stayed quiet and why."""

from loan_scoring.lab.demo.judged import demo_verdict
from loan_scoring.lab.demo.kinds import MONITORS, SHORT
from loan_scoring.lab.demo.run import CALM_NIGHTS, DemoResult
from loan_scoring.lab.demo.section import demo_section
from loan_scoring.lab.demo.seen import DemoNight, DemoRecord
from loan_scoring.models.card.blocks import Block, Card, Note, Section, Table, Text


def demo_page(done: DemoResult) -> Card:
    """Return the page as blocks; every figure is of the rows that the demonstrations left."""
    title, champion = done.contract.title, done.champion
    metrics = champion["metrics"]
    return Card(
        f"Drift, demonstrated on {title[0].lower()}{title[1:]}",
        f"{done.contract.portfolio}; {done.source}. Champion {champion['model_version']} "
        f"({champion['algorithm']}), fitted {champion['created_at']:%Y-%m-%d %H:%M} UTC by "
        f"loan-scoring {champion['code_version']}: AUC {metrics['auc']:.3f} on a hold-out of "
        f"{metrics['rows']:,} loans, of which {metrics['default_rate']:.1%} defaulted. Written by "
        "loan-scoring demo-drift.",
        [_short(done), *(demo_section(done.contract, seen) for seen in done.seen), _where(done)],
    )


def _short(done: DemoResult) -> Section:
    blocks: list[Block] = []
    if done.is_synthetic:
        blocks.append(
            Note(
                "synthetic: these loans are generated from the contract. The page shows how the "
                "monitors work; no figure on it says anything of real loans.",
                "bad",
            )
        )
    blocks.append(
        Text(
            "Every night's loans are held against what the model saw when it was fitted, and later "
            "against what became of them. Each demonstration starts from the same champion and "
            f"replays the same nights of {done.per_night:,} loans: {CALM_NIGHTS} as they are, then "
            "nights on which a scenario of the contract is laid. All of it ran through the "
            "functions that the nightly DAGs call."
        )
    )
    if done.overruled:
        blocks.append(
            Note(
                f"The champion failed the gate {', '.join(done.overruled)}, and was put into use "
                "for the demonstration all the same.",
                "bad",
            )
        )
    if done.seen:
        monitors = [SHORT[kind] for kind in MONITORS]
        blocks += [
            Table(
                ["drift", "what was done", *monitors, "as it should be"],
                [_row(seen) for seen in done.seen],
            ),
            Text(
                "A cell says on how many of the drifted nights the monitor found drift; “quiet” "
                f"is on none.{_no_one(done.seen)}"
            ),
        ]
    blocks += [Note(text, "bad") for text in done.missing]
    return Section("In short", blocks)


def _no_one(seen: list[DemoRecord]) -> str:
    """Say that no monitor found every kind of drift, where that is so."""
    finders = [
        {kind for night in each.drifted for kind in MONITORS if night.found(kind)} for each in seen
    ]
    if len(seen) < 2 or set.intersection(*finders):
        return ""
    return " No one monitor found all of them."


def _row(seen: DemoRecord) -> list[str]:
    cells = []
    for kind in MONITORS:
        told = sum(bool(night.found(kind)) for night in seen.drifted)
        cells.append(f"{told} of {len(seen.drifted)}" if told else "quiet")
    return [seen.shown.kind, seen.scenario.label, *cells, "yes" if demo_verdict(seen)[0] else "no"]


def _where(done: DemoResult) -> Section:
    head = ["table", "what stands in it", *(f"{each.shown.kind} drift" for each in done.seen)]
    rows = [
        ["drift", "every test of every night", *(_tests(each.nights) for each in done.seen)],
        [
            "performance_by_batch",
            "estimated, realised and hold-out figures side by side",
            *(f"{len(each.nights)} nights" for each in done.seen),
        ],
        [
            "alerts",
            "a cause that lasts, in words",
            *(_counted([row["kind"] for row in each.alerts]) for each in done.seen),
        ],
        [
            "retrain_requests",
            "why new models were asked for, or not",
            *(_counted([row["verdict"] for row in each.requests]) for each in done.seen),
        ],
    ]
    names = " ".join(f"--scenario {each.name}@{CALM_NIGHTS + 1}" for each in done.seen[:1])
    return Section(
        "Where to look for yourself",
        [
            Text("All of this was read from these tables. What each demonstration left in them:"),
            Table(head, rows),
            Text(
                "Its databases are gone. To have such a night in your own: loan-scoring replay "
                f"--nights {CALM_NIGHTS + 1} {names}, then ingest, score, metrics and outcomes; "
                "loan-scoring sql opens the tables, and the README has queries to start with."
            ),
        ],
    )  # fmt: skip


def _tests(nights: list[DemoNight]) -> str:
    levels = [test["level"] for night in nights for test in night.tests]
    return f"{sum(level != 'stable' for level in levels)} of {len(levels):,} tests not stable"


def _counted(words: list[str]) -> str:
    counts = {word: words.count(word) for word in dict.fromkeys(words)}
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "no row"
