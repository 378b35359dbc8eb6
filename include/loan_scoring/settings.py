"""Read the project's environment variables, and return the paths of the project's folders."""

import os
from pathlib import Path

from loan_scoring.errors import ContractError


def home() -> Path:
    """Return the project's root folder, which contains sql/ and include/ (LOAN_SCORING_HOME)."""
    return Path(os.environ.get("LOAN_SCORING_HOME") or Path(__file__).resolve().parents[2])


def state_dir() -> Path:
    """Return the folder where local servers keep data, such as databases (LOAN_SCORING_STATE)."""
    return Path(os.environ.get("LOAN_SCORING_STATE") or home() / ".local").resolve()


def data_dir() -> Path:
    """Return the folder that contains landing files and artifacts (LOAN_SCORING_DATA)."""
    return Path(os.environ.get("LOAN_SCORING_DATA") or home() / "data").resolve()


def landing_dir(portfolio: str) -> Path:
    """Return the folder where a portfolio's files arrive.

    The files are in the subfolders applications/ and outcomes/.
    """
    return data_dir() / "landing" / portfolio


def artifacts_dir(portfolio: str) -> Path:
    """Return the folder that contains a portfolio's fitted models and baselines."""
    return data_dir() / "artifacts" / portfolio


def federated_dir(portfolio: str) -> Path:
    """Return the folder of a portfolio's federated runs: requests and results, and no loans.

    It is apart from the artifacts, because a server beside a SuperLink writes to it.
    """
    return data_dir() / "federated" / portfolio


def mlflow_pages() -> str | None:
    """Return the URL of MLflow's pages, to which the page of models links. None if it is not set.

    The URL is the value of LOAN_SCORING_MLFLOW_PAGES, without a slash at the end.
    """
    found = os.environ.get("LOAN_SCORING_MLFLOW_PAGES", "").rstrip("/")
    return found if found.startswith(("http://", "https://")) else None


def mlflow_artifacts(portfolio: str) -> str:
    """Return the URI where MLflow keeps the artifacts of a portfolio: a folder or a bucket.

    The URI is the value of LOAN_SCORING_MLFLOW_ARTIFACTS followed by the portfolio's name. If the
    variable is unset, the URI is the folder artifacts/mlflow in `data_dir`, followed by the
    portfolio's name.
    """
    given = os.environ.get("LOAN_SCORING_MLFLOW_ARTIFACTS")
    root = given or (data_dir() / "artifacts" / "mlflow").as_uri()
    if "://" not in root:
        root = Path(root).resolve().as_uri()
    return f"{root.rstrip('/')}/{portfolio}"


def quality_dir(portfolio: str) -> Path:
    """Return the folder that contains the quality pages of a portfolio's batches, in HTML."""
    return data_dir() / "quality" / portfolio


def quality_page_path(portfolio: str, batch_id: str, revision: int) -> Path:
    """Return the path of the HTML page that shows the quality checks of a batch revision."""
    return quality_dir(portfolio) / f"{batch_id}-r{revision}.html"


def card_path(portfolio: str, model_version: str) -> Path:
    """Return the path of the model card that training wrote for a model version."""
    return artifacts_dir(portfolio) / f"{model_version}.html"


def demo_page_path(portfolio: str) -> Path:
    """Return the path of the HTML page that shows a portfolio's drift demonstrations."""
    return data_dir() / "demo" / f"drift-{portfolio}.html"


def portfolios_dir() -> Path:
    """Return the folder that contains the contracts (LOAN_SCORING_PORTFOLIOS)."""
    return Path(os.environ.get("LOAN_SCORING_PORTFOLIOS") or home() / "include" / "portfolios")


def database_url() -> str | None:
    """Return the database URL from LOAN_SCORING_DATABASE_URL.

    Return None if the variable is unset. Callers then use the embedded Postgres.
    """
    return os.environ.get("LOAN_SCORING_DATABASE_URL") or None


def broker_url() -> str:
    """Return the URL of the broker of streams, from LOAN_SCORING_BROKER_URL.

    If the variable is unset, it is the Redis that `make up STREAM=1` starts on this machine, whose
    URL is in a file. Return an empty string if there is none.
    """
    file = redis_url_file()
    kept = file.read_text() if file.exists() else ""
    return os.environ.get("LOAN_SCORING_BROKER_URL") or kept


def redis_url_file() -> Path:
    """Return the private file with the URL of the embedded Redis, password included."""
    return state_dir() / "redis" / "url"


def stream_python() -> str | None:
    """Return the Python of the environment that has the extra `stream`.

    It is in LOAN_SCORING_STREAM_PYTHON, which `make up STREAM=1` sets. None means no stream.
    """
    return os.environ.get("LOAN_SCORING_STREAM_PYTHON") or None


def owner_url() -> str | None:
    """Return the database URL of the role that owns the schemas, from LOAN_SCORING_OWNER_URL.

    Return None if the variable is unset. The application role then owns the schemas.
    """
    return os.environ.get("LOAN_SCORING_OWNER_URL") or None


def reader_url() -> str | None:
    """Return the database URL of the role that only reads, from LOAN_SCORING_READER_URL.

    Return None if the variable is unset.
    """
    return os.environ.get("LOAN_SCORING_READER_URL") or None


def mlflow_url() -> str | None:
    """Return the database URL of the role of MLflow's server, from LOAN_SCORING_MLFLOW_URL.

    Return None if the variable is unset.
    """
    return os.environ.get("LOAN_SCORING_MLFLOW_URL") or None


def backup_key() -> str | None:
    """Return the secret that signs and encrypts backups, from LOAN_SCORING_BACKUP_KEY.

    Return None if the variable is unset. Backups are then neither signed nor encrypted.
    """
    return os.environ.get("LOAN_SCORING_BACKUP_KEY") or None


def site_url() -> str | None:
    """Return the database URL of a site of federated training, from LOAN_SCORING_SITE_URL.

    Return None if the variable is unset. A role that only reads is enough.
    """
    return os.environ.get("LOAN_SCORING_SITE_URL") or None


def federated_python() -> Path:
    """Return the Python that has Flower (LOAN_SCORING_FEDERATED_PYTHON, or of `make federated`)."""
    given = os.environ.get("LOAN_SCORING_FEDERATED_PYTHON")
    return Path(given) if given else home() / ".venv-federated" / "bin" / "python"


def served_sites() -> str | None:
    """Return the number of sites that a server of federated training waits for.

    This is LOAN_SCORING_SERVED_SITES. If it is unset, there is no such server, and the sites are
    levels of a column of this database.
    """
    return os.environ.get("LOAN_SCORING_SERVED_SITES") or None


def source() -> str | None:
    """Return the path or URL of the labelled loans that replays use (LOAN_SCORING_SOURCE).

    Return None if the variable is unset.
    """
    return os.environ.get("LOAN_SCORING_SOURCE") or None


def max_download_bytes() -> int:
    """Return the size up to which a file is fetched (LOAN_SCORING_MAX_DOWNLOAD_GIB, or 16 GiB).

    Raises:
        ContractError: the variable is not a whole number of at least 1.
    """
    return _whole_number("LOAN_SCORING_MAX_DOWNLOAD_GIB", 16, "GiB") << 30


def airflow_keep_days() -> int:
    """Return how long rows and logs of Airflow are kept (LOAN_SCORING_AIRFLOW_KEEP_DAYS, or 90).

    Raises:
        ContractError: the variable is not a whole number of at least 1.
    """
    return _whole_number("LOAN_SCORING_AIRFLOW_KEEP_DAYS", 90, "days")


def _whole_number(name: str, default: int, unit: str) -> int:
    given = os.environ.get(name) or str(default)
    if not given.isdecimal() or int(given) < 1:
        raise ContractError(f"{name} is '{given}'; give a whole number of {unit}, at least 1")
    return int(given)


def redirect_hosts() -> list[str]:
    """Return the hosts to which servers may redirect downloads (LOAN_SCORING_REDIRECT_HOSTS)."""
    return [each for each in os.environ.get("LOAN_SCORING_REDIRECT_HOSTS", "").split(",") if each]


def promotion_mode() -> str | None:
    """Return the promotion mode that overrides the contract's mode, from LOAN_SCORING_PROMOTION.

    Return None if the variable is unset. The contract's mode then applies.

    Raises:
        ContractError: the value is neither `auto` nor `hold`.
    """
    found = os.environ.get("LOAN_SCORING_PROMOTION") or None
    if found not in (None, "auto", "hold"):
        raise ContractError(f"LOAN_SCORING_PROMOTION is {found}; make it auto or hold, or unset it")
    return found


def engine() -> str | None:
    """Return the engine that scores, from LOAN_SCORING_ENGINE. It goes before the contract's.

    Return None if the variable is unset.

    Raises:
        ContractError: the value is neither `tasks` nor `spark`.
    """
    found = os.environ.get("LOAN_SCORING_ENGINE") or None
    if found not in (None, "tasks", "spark"):
        raise ContractError(f"LOAN_SCORING_ENGINE is {found}; make it tasks or spark, or unset it")
    return found


def spark_master() -> str:
    """Return Spark's master, from LOAN_SCORING_SPARK_MASTER.

    The default is this machine with two threads. A mini-batch that fails is tried up to four times.
    """
    return os.environ.get("LOAN_SCORING_SPARK_MASTER") or "local[2,4]"
