"""The model card: what a pair of models is, how it does, and who let it into use."""

from loan_scoring.database.files import write_artifact
from loan_scoring.database.session import Session
from loan_scoring.models.card.content import read_card
from loan_scoring.models.card.render import render_card_html


def write_card(session: Session, model_version: str) -> None:
    """Write the card of a version as the page that `settings.card_page` names.

    Raises:
        StateError: there is no such version.
    """
    page = render_card_html(read_card(session, model_version))
    write_artifact(session.contract.portfolio, f"{model_version}.html", page.encode())
