"""API routes for models: model versions with their inputs and verdicts, and model cards."""

from fastapi import APIRouter, Response

from loan_scoring.contract import under_model
from loan_scoring.models import registry
from loan_scoring_web.databases import Reading
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.routes import api_shapes as shapes
from loan_scoring_web.routes.api_parameters import Version, refusals, select_rows

router = APIRouter(route_class=LimitedRoute)


@router.get("/{portfolio}/models", responses=refusals())
def list_models(session: Reading) -> shapes.Models:
    """List every model version with its latest verdict."""
    return shapes.Models.model_validate({"models": select_rows(session, "select_models")})


@router.get("/{portfolio}/models/{model_version}", responses=refusals())
def read_model(session: Reading, model_version: Version) -> shapes.Model:
    """Return a model version with its inputs, its metrics and every verdict on it."""
    row = registry.model_row(session, model_version)
    pair = registry.fitted_pair(session, model_version)
    # A caller sends columns, and the service joins look-ups and computes features.
    contract = under_model(session.contract, row["training_data"])
    needed = contract.derived.closure(row["features"])
    inputs = [
        {
            **{name: getattr(column, name) for name in ("name", "label", "type", "unit")},
            "levels": column.listed_levels or None,
            "level_labels": column.level_labels,
            "is_open": column.is_open,
            "low": column.bounds[0],
            "high": column.bounds[1],
        }
        for column in contract.inputs
        if column.name in needed
    ]
    verdicts = select_rows(session, "select_verdicts", model_version=model_version)
    fitted_with = next((each for each in pair.values() if each != model_version), model_version)
    return shapes.Model.model_validate(
        {**row, "fitted_with": fitted_with, "inputs": inputs, "verdicts": verdicts}
    )


@router.get(
    "/{portfolio}/models/{model_version}/card",
    response_class=Response,
    responses=refusals()
    | {
        200: {
            "content": {"text/markdown": {"schema": {"type": "string"}}},
            "description": "Model card",
        }
    },
)
def read_card(session: Reading, model_version: Version) -> Response:
    """Return the model card of a pair of models, as Markdown.

    `model_version` may be either version of the pair.
    """
    # Imported here because these modules load scikit-learn, which would slow the server's start.
    from loan_scoring.models.card import content
    from loan_scoring.models.card.render import render_card_markdown

    text = render_card_markdown(content.read_card(session, model_version))
    return Response(text, media_type="text/markdown")
