"""Read the template values of the models page, and compare two propensity versions."""

from typing import Any

from loan_scoring import database, settings
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.promotion.signatures import ASKED
from loan_scoring.models.registry import KINDS, PERSONAS, PROPENSITY, SCANS
from loan_scoring.models.waiting import waiting_model
from loan_scoring_web.pages.cutoffs import read_decisions
from loan_scoring_web.pages.plots import Plot, make_plot

METRICS = (
    ("auc", "AUC", "the higher the better"),
    ("gini", "Gini", "the higher the better"),
    ("ks", "KS", "the higher the better"),
    ("brier", "Brier score", "the lower the better"),
    ("log_loss", "Log loss", "the lower the better"),
    ("calibration_slope", "Calibration slope", "1 is perfect"),
    ("f1", "F1 of default", "the higher the better"),
    ("precision", "Precision of decline", "the higher the better"),
    ("recall", "Recall of decline", "the higher the better"),
)
COLOURS = ("--blue", "--orange")


def read_models_page(session: Session, left: str | None, right: str | None) -> dict[str, Any]:
    """Return the template values of the models page: versions, champions, verdicts, comparison.

    Args:
        session: database session that reads.
        left: propensity version on the left of the comparison. None means the champion, or the
            latest version if there is no champion.
        right: propensity version on the right of the comparison. None means the latest version
            other than `left`.

    Raises:
        MissingError: `left` or `right` does not exist.
    """
    with database.transaction(session.connection):
        every = database.rows(session.connection, "select_models")
        rows = [row for row in every if row["kind"] in KINDS]
        history = database.rows(session.connection, "select_promotions")
        champions = {kind: registry.champion_version(session, kind) for kind in KINDS}
        waiting = waiting_model(session)
        back = preview_rollback(session)
        pairs = _pairs(rows)
        versions = [pair[PROPENSITY]["model_version"] for pair in pairs if PROPENSITY in pair]
        left, right = _chosen(versions, champions[PROPENSITY], left, right)
        compared = compare_versions(session, left, right) if left and right else None
        decided = read_decisions(session, left, right)
        shadows, nights, canaries = (
            database.rows(session.connection, query, model_version=None)
            for query in ("select_shadows", "select_shadow_nights", "select_canary_nights")
        )
        signatures = database.rows(session.connection, "select_signatures", model_version=None)
    return {
        "mlflow": settings.mlflow_pages(),
        "signatures": signed_versions(versions, signatures),
        "artifacts": {
            pair[PROPENSITY]["model_version"]: pair[PROPENSITY]["artifact_sha256"]
            for pair in pairs
            if PROPENSITY in pair
        },
        "trainers": {
            pair[PROPENSITY]["model_version"]: pair[PROPENSITY]["triggered_by"]
            for pair in pairs
            if PROPENSITY in pair
        },
        "asked": ASKED[session.contract.promotion.signatures],
        "pairs": pairs,
        "classifiers": [row for row in reversed(every) if row["kind"] == SCANS],
        "shadows": shadows,
        "shadow_nights": nights,
        "canaries": canaries,
        "shadow_plot": draw_nights(nights) if nights else None,
        "history": history,
        "champions": champions,
        "waiting": waiting,
        "back": back,
        "versions": versions,
        "left": left,
        "right": right,
        "compared": compared,
        **decided,
    }


def draw_nights(nights: list[database.Row]) -> Plot:
    """Draw the share of equal decisions in each night of each challenger in shadow."""
    lines = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": version,
            "x": [each["batch_id"] for each in nights if each["propensity_version"] == version],
            "y": [each["agreement"] for each in nights if each["propensity_version"] == version],
            "line": {"color": COLOURS[place % len(COLOURS)], "width": 2},
        }
        for place, version in enumerate(sorted({each["propensity_version"] for each in nights}))
    ]
    return make_plot(
        lines,
        xaxis={"type": "category"},
        yaxis={"title": {"text": "Equal decisions"}, "tickformat": ".1%"},
    )


def signed_versions(
    versions: list[str], signatures: list[database.Row]
) -> dict[str, dict[str, database.Row]]:
    """Return the signatures by version and by what they were signed as, the latest version first.

    Versions without a signature have an empty dict.
    """
    found: dict[str, dict[str, database.Row]] = {version: {} for version in versions}
    for each in signatures:
        found[each["model_version"]][each["signed_as"]] = each
    return found


def _pairs(rows: list[database.Row]) -> list[dict[str, database.Row]]:
    """Return the pairs of models that were fitted together, the latest pair first.

    A pair is a dict of rows by kind.
    """
    found: dict[str, dict[str, database.Row]] = {}
    for row in rows:
        found.setdefault(row["fingerprint"], {})[row["kind"]] = row
    return sorted(
        found.values(),
        key=lambda pair: max(row["created_at"] for row in pair.values()),
        reverse=True,
    )


def _chosen(
    versions: list[str], champion: str | None, left: str | None, right: str | None
) -> tuple[str | None, str | None]:
    left = left or champion or (versions[0] if versions else None)
    others = [version for version in versions if version != left]
    return left, right or (others[0] if others else None)


def preview_rollback(session: Session) -> dict[str, str] | None:
    """Return the versions that a rollback would make champions, by kind.

    Return None if no rollback is possible, or if a rollback would change no champion.
    """
    try:
        in_use = dict(zip(KINDS, registry.champion_pair(session), strict=True))
    except StateError:
        return None
    back = {}
    for kind, version in in_use.items():
        row = database.row(session.connection, "select_replaced", model_version=version)
        if row is None or row["replaces"] is None:
            return None
        back[kind] = str(row["replaces"])
    return None if back == in_use else back


def compare_versions(session: Session, left: str, right: str) -> dict[str, Any]:
    """Return metrics, facts and plots that compare two propensity versions."""
    two = [registry.model_row(session, version) for version in (left, right)]
    personas = []
    for row in two:
        fitted = registry.versions_by_fingerprint(session, row["fingerprint"]).get(PERSONAS)
        personas.append(None if fitted is None else registry.model_row(session, fitted))
    labels = {column.name: column.label for column in session.contract.by_name.values()}
    read_by = [set(row["features"]) for row in two]
    return {
        "metrics": [
            {
                "label": label,
                "note": note,
                "values": [row["metrics"].get(name) for row in two],
                "intervals": [(row["metrics"].get("intervals") or {}).get(name) for row in two],
            }
            for name, label, note in METRICS
            if any(row["metrics"].get(name) is not None for row in two)
        ],
        "facts": [
            ("Algorithm", [row["algorithm"] for row in two]),
            ("Fitted (UTC)", [f"{row['created_at']:%Y-%m-%d %H:%M}" for row in two]),
            ("Loans with an outcome", [_count(row["training_data"]) for row in two]),
            ("Labelled loans left out", [_left_out(row["training_data"]) for row in two]),
            ("Last cohort", [_last_cohort(row["training_data"]) for row in two]),
            ("Outcomes as of", [registry.outcomes_as_of(row) for row in two]),
            ("Loans of the hold-out", [_whole(row["metrics"].get("rows")) for row in two]),
            ("Inputs", [f"{len(row['features'])}" for row in two]),
            ("Inputs of this version only", [
                ", ".join(sorted(labels.get(name, name) for name in own - other)) or "none"
                for own, other in (read_by, read_by[::-1])
            ]),
            ("Personas", [
                "; ".join(
                    f"{each['name']} (default rate {each['default_rate']:.1%})"
                    for each in row["metrics"]["personas"]
                )
                if row else "none"
                for row in personas
            ]),
            ("Code", [f"loan-scoring {row['code_version']}" for row in two]),
            ("Artifact", [f"sha256 {row['artifact_sha256'][:16]}" for row in two]),
        ],
        "roc": _drawn(two, draw_both_roc),
        "calibration": _drawn(two, draw_both_calibrations),
    }  # fmt: skip


def _count(data: dict[str, Any]) -> str:
    return _whole(data.get("applications"))


def _whole(value: int | None) -> str:
    return "not recorded" if value is None else f"{value:,}"


def _drawn(two: list[database.Row], draw: Any) -> Plot | None:
    """Draw a plot of two versions. Return None if a version has no recorded evaluation."""
    if any(row["evaluation"] is None for row in two):
        return None
    drawn: Plot = draw(two)
    return drawn


def draw_both_roc(two: list[database.Row]) -> Plot:
    """Draw the ROC curves of two versions, each version measured on its own hold-out."""
    lines = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": row["model_version"],
            "x": [x for x, _ in row["evaluation"]["roc"]],
            "y": [y for _, y in row["evaluation"]["roc"]],
            "line": {"color": colour, "width": 2, "dash": dash},
        }
        for row, colour, dash in zip(two, COLOURS, ("solid", "dash"), strict=True)
    ]
    return make_plot(
        [*lines, _diagonal()],
        xaxis={"title": {"text": "Paid loans above the threshold"}, "tickformat": ".0%"},
        yaxis={"title": {"text": "Defaults above the threshold"}, "tickformat": ".0%"},
    )


def draw_both_calibrations(two: list[database.Row]) -> Plot:
    """Draw the observed against the predicted default rate in each score decile of two versions."""
    lines = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": row["model_version"],
            "x": [part["predicted"] for part in row["evaluation"]["deciles"]],
            "y": [part["observed"] for part in row["evaluation"]["deciles"]],
            "line": {"color": colour, "width": 2, "dash": dash},
        }
        for row, colour, dash in zip(two, COLOURS, ("solid", "dash"), strict=True)
    ]
    return make_plot(
        [*lines, _diagonal()],
        hovermode="closest",
        xaxis={"title": {"text": "Predicted default rate"}, "tickformat": ".0%"},
        yaxis={"title": {"text": "Observed default rate"}, "tickformat": ".0%"},
    )


def _diagonal() -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "showlegend": False,
        "hoverinfo": "skip", "line": {"color": "--grey", "width": 1, "dash": "dot"},
    }  # fmt: skip


def _left_out(data: dict[str, Any]) -> str:
    """Return how many labelled loans a training left out, as their outcomes were not final."""
    cohorts = data.get("cohorts")
    return _whole(cohorts["left_out"]["loans"]) if cohorts else _whole(None)


def _last_cohort(data: dict[str, Any]) -> str:
    return str((data.get("cohorts") or {}).get("last") or _whole(None))
