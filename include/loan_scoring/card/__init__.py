"""The model card: what a pair of models is, how it does, and who let it into use."""

from loan_scoring import artifacts
from loan_scoring.card import content, render
from loan_scoring.session import Session


def write_card(session: Session, model_version: str) -> None:
    """Write the card of a version as the page that `settings.card_page` names.

    Raises:
        StateError: there is no such version.
    """
    page = render.render_card_html(content.read_card(session, model_version))
    artifacts.write_artifact(session.contract.portfolio, f"{model_version}.html", page.encode())
