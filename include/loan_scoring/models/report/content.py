"""Put the report of a model together: checklist, chapters, open items, and Annex IV on request."""

from loan_scoring.database.session import Session
from loan_scoring.models.card.blocks import Card, Section
from loan_scoring.models.report.annex import annex_sections
from loan_scoring.models.report.chapters import CHAPTERS, place
from loan_scoring.models.report.checklist import checklist, checklist_section, open_section
from loan_scoring.models.report.facts import read_facts


def read_report(session: Session, model_version: str, *, annex_iv: bool = False) -> Card:
    """Return the report of a pair of models.

    Args:
        session: database session.
        model_version: either version of the pair, propensity or personas.
        annex_iv: whether to add what Annex IV of Regulation (EU) 2024/1689 asks for.

    Raises:
        MissingError: there is no such version.
    """
    facts = read_facts(session, model_version)
    items = checklist(facts)
    return Card(
        f"Model report: {facts.version}",
        f"{facts.contract.title} ({facts.contract.portfolio}). Filled from the registry, the "
        "contract and the records of the nights; what no record fills is marked as open.",
        [
            checklist_section(items),
            *(Section(place(title), write(facts)) for title, write in CHAPTERS.items()),
            open_section(items),
            *(annex_sections(facts) if annex_iv else []),
        ],
    )
