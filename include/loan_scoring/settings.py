"""Return the project's folders and the values of its environment variables."""

import os
from pathlib import Path

from loan_scoring.errors import ContractError


def home() -> Path:
    """Return the project's folder, which holds sql/ and include/ (LOAN_SCORING_HOME)."""
    return Path(os.environ.get("LOAN_SCORING_HOME") or Path(__file__).resolve().parents[2])


def state_dir() -> Path:
    """Return the folder of the servers' state, such as databases (LOAN_SCORING_STATE)."""
    return Path(os.environ.get("LOAN_SCORING_STATE") or home() / ".local").resolve()


def data_dir() -> Path:
    """Return the folder of landing files and artifacts (LOAN_SCORING_DATA)."""
    return Path(os.environ.get("LOAN_SCORING_DATA") or home() / "data").resolve()


def landing_dir(portfolio: str) -> Path:
    """Return the folder where a portfolio's files land, in applications/ and outcomes/."""
    return data_dir() / "landing" / portfolio


def artifacts_dir(portfolio: str) -> Path:
    """Return the folder of a portfolio's fitted models and baselines."""
    return data_dir() / "artifacts" / portfolio


def mlflow_artifacts(portfolio: str) -> str:
    """Return the URI of the folder or bucket with the artifacts that MLflow shows of a portfolio.

    It lies in LOAN_SCORING_MLFLOW_ARTIFACTS, or else beside the fitted models.
    """
    given = os.environ.get("LOAN_SCORING_MLFLOW_ARTIFACTS")
    root = given or (data_dir() / "artifacts" / "mlflow").as_uri()
    if "://" not in root:
        root = Path(root).resolve().as_uri()
    return f"{root.rstrip('/')}/{portfolio}"


def quality_dir(portfolio: str) -> Path:
    """Return the folder of the pages with the quality verdicts on a portfolio's batches."""
    return data_dir() / "quality" / portfolio


def quality_page_path(portfolio: str, batch_id: str, revision: int) -> Path:
    """Return the path of the page with a revision's quality verdicts."""
    return quality_dir(portfolio) / f"{batch_id}-r{revision}.html"


def card_path(portfolio: str, model_version: str) -> Path:
    """Return the path of the model card that was written when a version was fitted."""
    return artifacts_dir(portfolio) / f"{model_version}.html"


def demo_page_path(portfolio: str) -> Path:
    """Return the path of the page with a portfolio's drift demonstrations."""
    return data_dir() / "demo" / f"drift-{portfolio}.html"


def portfolios_dir() -> Path:
    """Return the folder of the contracts (LOAN_SCORING_PORTFOLIOS)."""
    return Path(os.environ.get("LOAN_SCORING_PORTFOLIOS") or home() / "include" / "portfolios")


def database_url() -> str | None:
    """Return LOAN_SCORING_DATABASE_URL; None means the embedded Postgres."""
    return os.environ.get("LOAN_SCORING_DATABASE_URL") or None


def owner_url() -> str | None:
    """Return LOAN_SCORING_OWNER_URL; None means that the application's role owns the schemas."""
    return os.environ.get("LOAN_SCORING_OWNER_URL") or None


def source() -> str | None:
    """Return LOAN_SCORING_SOURCE, the labelled file or URL from which replays take loans."""
    return os.environ.get("LOAN_SCORING_SOURCE") or None


def promotion_mode() -> str | None:
    """Return LOAN_SCORING_PROMOTION, which overrides the contract's mode; None if unset.

    Raises:
        ContractError: it is neither auto nor hold.
    """
    found = os.environ.get("LOAN_SCORING_PROMOTION") or None
    if found not in (None, "auto", "hold"):
        raise ContractError(f"LOAN_SCORING_PROMOTION is {found}; make it auto or hold, or unset it")
    return found
