"""Write the sections of Annex IV of Regulation (EU) 2024/1689, for credit scoring (Annex III, 5b).

Every item of the annex appears, by its number. An item is filled from records, refers to the
chapter of the report that has them, or is marked as open.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from loan_scoring.models.card.blocks import Block, Heading, Note, Section, Text
from loan_scoring.models.report import annex_items as items
from loan_scoring.models.report.chapters import VALIDATION, place
from loan_scoring.models.report.facts import Facts
from loan_scoring.models.report.registers import changes, incidents, risks, software
from loan_scoring.models.report.words import stated, table

DATA, SELECTION = "Data and pre-processing", "Feature selection and leaks"
DRIFT, SINCE, USE = "Drift and retraining", "What happened since", "Deployment"


@dataclass(frozen=True)
class Entry:
    """An item of Annex IV: its number, what it is about, and what records say of it.

    `chapters` are the chapters of the report that have more. An entry is open if a block is a note
    of a gap, or if it has neither blocks nor chapters.
    """

    number: str
    title: str
    blocks: list[Block] = field(default_factory=list)
    chapters: tuple[str, ...] = ()

    @property
    def gaps(self) -> list[str]:
        """What is open, and who fills it."""
        return [each.text for each in self.blocks if isinstance(each, Note) and each.tone == "bad"]


TITLES = {
    "1": "General description",
    "2": "Elements and development",
    "3": "Monitoring, functioning and control",
    "4": "Appropriateness of the metrics",
    "5": "Risk management (article 9)",
    "6": "Changes over the life cycle",
    "7": "Standards",
    "8": "EU declaration of conformity (article 47)",
    "9": "Post-market monitoring (article 72)",
}
"""The numbers of Annex IV."""


def annex_sections(facts: Facts) -> list[Section]:
    """Return the sections of Annex IV: an overview, then one section a number, then registers."""
    entries = list(_entries(facts))
    open_ = [each for each in entries if each.gaps]
    overview = Section(
        "Annex IV: overview",
        [
            Text(
                "Technical documentation by Regulation (EU) 2024/1689, article 11 and Annex IV. "
                "Credit scoring of natural persons is high-risk by Annex III, 5(b). "
                f"{len(entries) - len(open_)} of {len(entries)} items are filled from records, "
                f"{len(open_)} have gaps."
            ),
            table(
                ["item", "about", "", "where, or who fills it"],
                [
                    [
                        each.number, each.title, "gap" if each.gaps else "filled",
                        " ".join(each.gaps) or _where(each),
                    ]
                    for each in entries
                ],
            ),
        ],
    )  # fmt: skip
    return [
        overview,
        *(_section(number, title, entries) for number, title in TITLES.items()),
        Section("Incident log", incidents(facts.incidents)),
        Section("Software bill of materials", software()),
    ]


def _where(entry: Entry) -> str:
    own = [f"Annex IV, {entry.number}"] if entry.blocks else []
    return ", ".join([*own, *map(place, entry.chapters)])


def _section(number: str, title: str, entries: list[Entry]) -> Section:
    blocks: list[Block] = []
    for each in entries:
        if each.number.partition("(")[0] != number:
            continue
        if each.number != number:
            blocks.append(Heading(f"{each.number} {each.title}"))
        blocks += each.blocks
        if each.chapters:
            blocks.append(Text(f"See {', '.join(map(place, each.chapters))}."))
    return Section(f"Annex IV, {number}: {title}", blocks)


def _entries(facts: Facts) -> Iterator[Entry]:
    """Yield every item of Annex IV, in its order."""
    said, contract = facts.governance, facts.contract

    def of(name: str) -> list[Block]:
        return stated(getattr(said, name), name, contract.owner)

    yield Entry(
        "1(a)",
        "intended purpose, provider, version",
        [*of("intended_use"), *of("provider"), *items.versions(facts)],
    )
    yield Entry("1(b)", "interaction with hardware and software", items.interaction(facts), (USE,))
    yield Entry("1(c)", "versions of software, and updates", items.runtime_versions(facts), (USE,))
    yield Entry("1(d)", "forms in which it is put into service", items.forms(facts))
    yield Entry("1(e)", "hardware", [*of("hardware"), *items.resources(facts)])
    yield Entry(
        "1(f)",
        "product of which it is a component",
        [Text("It is software and no component of a physical product.")],
    )
    yield Entry("1(g)", "user interface of the deployer", items.interface(facts))
    yield Entry("1(h)", "instructions for use", of("instructions"))
    yield Entry(
        "2(a)",
        "methods and steps of development; third parties",
        items.development(facts),
        ("Candidates and selection", "Optimisation"),
    )
    yield Entry(
        "2(b)",
        "design: logic, choices, what is optimised",
        items.design(facts),
        ("Purpose and scope", SELECTION),
    )
    yield Entry(
        "2(c)", "architecture and computational resources", items.architecture(facts), (USE,)
    )
    yield Entry(
        "2(d)",
        "data requirements and governance (article 10)",
        items.data_governance(facts),
        (DATA, "Modelling data set", SELECTION),
    )
    yield Entry(
        "2(e)",
        "human oversight (article 14)",
        [*of("human_oversight"), *items.oversight(facts)],
        (SINCE,),
    )
    yield Entry("2(f)", "changes determined beforehand", items.predetermined(facts), (DRIFT,))
    yield Entry(
        "2(g)",
        "validation and testing, signed",
        items.testing(facts),
        (VALIDATION, "Review, acceptance and promotion"),
    )
    yield Entry("2(h)", "cybersecurity", [*of("cybersecurity"), *items.integrity(facts)])
    yield Entry(
        "3", TITLES["3"], [*items.control(facts), *of("not_intended")], (VALIDATION, SINCE, "Risks")
    )
    yield Entry("4", TITLES["4"], [*of("metrics_rationale"), *items.metrics(facts)], (VALIDATION,))
    yield Entry("5", TITLES["5"], risks(contract), ("Risks",))
    yield Entry("6", TITLES["6"], changes(facts.life_cycle, facts.contracts))
    yield Entry("7", TITLES["7"], items.standards(facts))
    yield Entry("8", TITLES["8"], of("declaration"))
    yield Entry("9", TITLES["9"], items.post_market(facts), (DRIFT, SINCE))  # fmt: skip
