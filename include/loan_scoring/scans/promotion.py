"""Judge a classifier by its gates, put it into use, take it out again, and write its card."""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from loan_scoring import database
from loan_scoring.database.files import write_artifact
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.card.blocks import Card, Section, Table, Text
from loan_scoring.models.card.checks import promotions_section
from loan_scoring.models.card.render import render_card_html
from loan_scoring.models.promotion.decide import POLICY
from loan_scoring.models.promotion.rights import mode_in_effect, refuse_own_training
from loan_scoring.models.registry import SCANS
from loan_scoring.scans.classifier import KIND_WORDS, KINDS
from loan_scoring.statistics.intervals import wilson

log = logging.getLogger(__name__)

NUMBERS = frozenset(range(1, 5))
"""Columns of the card's tables with numbers: one for each kind, or a count and three quantiles."""
WORSE = 0.05
"""p-value below which a challenger that is right on fewer pages than the one in use is worse."""


def judge_classifier(session: Session, version: str) -> dict[str, Any]:
    """Return the evidence on a classifier: a gate for each kind of page, and one on what is in use.

    A gate on a kind fails if the 95 % interval of the share of right pages lies below the
    contract's `scan_form.min_right`. The last one fails if the classifier in use is right on more
    pages of this hold-out by more than chance (exact test of McNemar).

    Raises:
        MissingError: there is no such version.
        StateError: the artifact of a classifier is missing or was changed.
    """
    assert session.contract.scan_form is not None  # noqa: S101 - a classifier has a form
    row, least = registry.model_row(session, version), session.contract.scan_form.min_right
    in_use = registry.champion_version(session, SCANS)
    gates = []
    for kind, named in row["metrics"]["confusion"].items():
        right, pages = named[kind], sum(named.values())
        low, high = wilson(right, pages)
        gates.append(
            {
                "gate": f"right_{kind}",
                "passed": bool(high >= least),
                "sentence": f"{KIND_WORDS[kind]}: {right} of {pages} pages right, 95 % interval "
                f"[{low:.1%}, {high:.1%}]; {least:.0%} is the least",
                "right": right,
                "pages": pages,
                "interval": [low, high],
            }
        )
    if in_use is not None and in_use != version:
        gates.append(_against(session, row, in_use))
    return {"gates": gates, "champion": in_use}


def _against(session: Session, row: database.Row, in_use: str) -> dict[str, Any]:
    held = row["evaluation"]["holdout_pages"]
    features, kinds = np.array(held["features"]), np.array(held["kinds"])
    own, theirs = (
        registry.model_estimator(session, each).predict(features) == kinds
        for each in (row, registry.model_row(session, in_use))
    )
    gained, lost, p_value = mcnemar(own, theirs)
    passed = not (lost > gained and p_value < WORSE)
    return {
        "gate": "not_worse",
        "passed": passed,
        "sentence": f"right on {gained} pages on which {in_use} is wrong, and wrong on {lost} on "
        f"which it is right (p = {p_value:.3f})",
        "gained": gained,
        "lost": lost,
        "p_value": p_value,
    }


def mcnemar(own: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> tuple[int, int, float]:
    """Return on how many pages only one of two models is right, and the exact two-sided p-value.

    Source: McNemar (1947), "Note on the sampling error of the difference between correlated
    proportions", with the binomial distribution.

    >>> mcnemar(np.array([True, False, False]), np.array([False, True, True]))
    (1, 2, 1.0)
    """
    gained, lost = int((own & ~theirs).sum()), int((~own & theirs).sum())
    if not gained + lost:
        return 0, 0, 1.0
    return gained, lost, float(binomtest(gained, gained + lost).pvalue)


def promote_by_gates(session: Session, version: str) -> str:
    """Judge a new classifier, and return what became of it.

    `promoted`: it passes every gate, and the contract's mode is auto. `refused`: it fails one.
    `held`: a person decides. `unchanged`: it is in use already.
    """
    if registry.champion_version(session, SCANS) == version:
        return "unchanged"
    evidence = judge_classifier(session, version)
    passed = all(gate["passed"] for gate in evidence["gates"])
    if passed and mode_in_effect(session.contract) == "hold":
        return "held"
    verdict = "promoted" if passed else "refused"
    _record(session, version, evidence, verdict, POLICY, "training", None)
    return verdict


def promote_by_hand(
    session: Session, version: str, by: str, comment: str | None
) -> tuple[str, dict[str, Any]]:
    """Put a classifier into use because a person decided so. Return the verdict and the evidence.

    Raises:
        StateError: it is in use already, fails a gate without a comment, or the person trained it
            where the mode is hold.
        MissingError: there is no such version.
    """
    if registry.champion_version(session, SCANS) == version:
        raise StateError(f"{version} is in use already")
    if mode_in_effect(session.contract) == "hold":
        refuse_own_training(session, {SCANS: version}, by)
    evidence = judge_classifier(session, version)
    failed = [gate for gate in evidence["gates"] if not gate["passed"]]
    if failed and not comment:
        sentences = "; ".join(gate["sentence"] for gate in failed)
        raise StateError(
            f"{version} fails {', '.join(gate['gate'] for gate in failed)}: {sentences}. To "
            "promote it nevertheless, give the reason by --comment"
        )
    if failed:
        evidence["overruled"] = [gate["gate"] for gate in failed]
    _record(session, version, evidence, "promoted", by, "command", comment)
    return "promoted", evidence


def rollback_classifier(session: Session, by: str, comment: str | None) -> dict[str, str]:
    """Put the classifier back that the one in use replaced, and return it by its kind.

    Raises:
        StateError: none is in use, or it replaced no other.
    """
    in_use = registry.champion_version(session, SCANS)
    row = database.row(session.connection, "select_replaced", model_version=in_use)
    if row is None or row["replaces"] is None or row["replaces"] == in_use:
        raise StateError(
            f"{in_use or 'no classifier'} replaced no other model: none to roll back to"
        )
    evidence = {"takes_out": in_use, "puts_back": row["replaces"],
                "undoes_promotion": row["promotion_id"]}  # fmt: skip
    _record(session, row["replaces"], evidence, "promoted", by, "rollback", comment)
    return {SCANS: str(row["replaces"])}


def _record(
    session: Session, version: str, evidence: dict[str, Any], verdict: str, by: str,
    occasion: str, comment: str | None,
) -> None:  # fmt: skip
    # A classifier whose artifact is damaged cannot come into use.
    registry.model_estimator(session, registry.model_row(session, version))
    with database.transaction(session.connection):
        database.lock(session.connection, "promotions")
        registry.record_verdicts(
            session, {version: evidence}, verdict, by, occasion=occasion, comment=comment
        )
    log.info("%s: %s by %s", version, verdict, by)


def write_card(session: Session, version: str) -> None:
    """Write the card of a classifier as `VERSION.html` beside the artifacts of the portfolio."""
    page = render_card_html(read_card(session, version))
    write_artifact(session.contract.portfolio, f"{version}.html", page.encode())


def read_card(session: Session, version: str) -> Card:
    """Return the card of a classifier.

    Raises:
        MissingError: there is no such version.
    """
    with database.transaction(session.connection):
        row = registry.model_row(session, version)
        verdicts = database.rows(session.connection, "select_verdicts", model_version=version)
        is_used = registry.champion_version(session, SCANS) == version
    data, metrics, baseline = row["training_data"], row["metrics"], row["baseline"]
    confusion = [
        [KIND_WORDS[kind], *(str(metrics["confusion"][kind][other]) for other in KINDS)]
        for kind in KINDS
    ]
    figures = [
        [name, str(len(values)), *(f"{np.quantile(values, at):.3g}" for at in (0.05, 0.5, 0.95))]
        for name, values in baseline["values"].items()
    ]
    parameters = [[name, str(value)] for name, value in sorted(row["parameters"].items())]
    return Card(
        f"Model card: {version}",
        f"{session.contract.title} ({session.contract.portfolio}). Fitted "
        f"{row['created_at']:%Y-%m-%d %H:%M} UTC by loan-scoring {row['code_version']}; "
        f"{'in use' if is_used else 'not in use'}.",
        [
            Section("Purpose", [Text(
                f"{row['algorithm']} tells from {len(row['features'])} figures of a scanned page "
                "whether it is a form, an identity document, a pay slip or something else. Pages "
                "without the form's marks are refused by its name for them. It scores no loan, and "
                "never refuses a page that has the form's marks and bar code."
            )]),
            Section("Hold-out", [
                Text(
                    f"{metrics['pages']} pages that the training did not see: accuracy "
                    f"{metrics['accuracy']:.1%}, log loss {metrics['log_loss']:.3f}, AUC of a form "
                    f"{metrics['auc']:.4f}. Rows: what a page is; columns: what it was taken for."
                ),
                Table(["page", *KINDS], confusion, NUMBERS),
            ]),
            promotions_section(verdicts),
            Section("Baseline of monitoring", [
                Text(f"Whole forms of the hold-out, {baseline['forms']} ones."),
                Table(["figure", "forms", "5 %", "median", "95 %"], figures, NUMBERS),
            ]),
            Section("Training data", [Text(
                f"{data['invented_pages']} invented pages of every kind and quality, and "
                f"{data['own_forms']} own forms; form {data['form_code']}, seed {data['seed']}, "
                f"trained by {data['triggered_by']}. No document of a person but own forms was "
                "used. Real pay slips and identity documents look in more ways than invented ones."
            )]),
            Section("Artifacts and parameters", [
                Table(["file", "sha256"], [[row["artifact"], row["artifact_sha256"]]]),
                Table(["parameter", "value"], parameters),
            ]),
        ],
    )  # fmt: skip
