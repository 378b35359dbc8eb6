"""Copy trials, models and champions to MLflow, so that people can see them in MLflow's pages.

No decision depends on MLflow. MLflow's tables are in the schema `mlflow` of the same database, so
that no MLflow server is needed. Each copy writes the runs and versions that MLflow does not have
yet, and writes unfinished runs again. The tag `loan_scoring.id` identifies each run and version.
Other stages do not import mlflow, because the import takes seconds.
"""

import json
import logging
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy.exc import SQLAlchemyError

from loan_scoring import database, settings
from loan_scoring.database.files import read_artifact
from loan_scoring.database.session import Session
from loan_scoring.errors import TrackingError
from loan_scoring.models.mlflow_flavour import write_flavour
from loan_scoring.models.mlflow_schema import QUIET, mirror_lock, mlflow_url

ID = "loan_scoring.id"
KIND, TABULAR = "mlflow.experimentKind", "custom_model_development"
"""Tag with which MLflow opens an experiment on its runs. Without it, MLflow asks what it is."""
VERDICT = "verdict"
CHAMPION = "champion"


@dataclass(frozen=True)
class MirrorCounts:
    """The result of one copy to MLflow.

    `trials` and `models` are the numbers of trials and model versions that were written.
    `champions` has the champion version of each kind.
    """

    trials: int
    models: int
    champions: dict[str, str]


def mirror_models(session: Session) -> MirrorCounts:
    """Write the trials and models that MLflow does not have yet, and set the alias `champion`.

    Raises:
        TrackingError: MLflow's tables or artifacts cannot be written. The next call writes what is
            missing.
    """
    os.environ |= QUIET
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hides warnings about the next version of SQLAlchemy
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        try:
            with mirror_lock(session):
                url = mlflow_url(session.connection)
                client = MlflowClient(tracking_uri=url, registry_uri=url)
                try:
                    return _Mirror(session, client).run()
                finally:
                    client._tracking_client.store.engine.dispose()
        except (MlflowException, SQLAlchemyError, psycopg2.Error, OSError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise TrackingError(
                f"MLflow lacks what was trained last ({type(error).__name__}: {reason}); models "
                "and promotions in Postgres are complete, the next training writes the rest"
            ) from error


class _Mirror:
    """Copy the trials, models and champions of one portfolio to MLflow."""

    def __init__(self, session: Session, client: Any) -> None:
        self.session = session
        self.client = client
        self.portfolio = session.contract.portfolio
        self.verdicts: dict[tuple[str, str], str] = {}
        found = client.get_experiment_by_name(self.portfolio)
        self.experiment = (
            found.experiment_id
            if found
            else client.create_experiment(
                self.portfolio, artifact_location=settings.mlflow_artifacts(self.portfolio)
            )
        )
        if not found or found.tags.get(KIND) != TABULAR:
            client.set_experiment_tag(self.experiment, KIND, TABULAR)

    def run(self) -> MirrorCounts:
        with database.transaction(self.session.connection):
            trials = database.rows(self.session.connection, "select_all_trials")
            models = database.rows(self.session.connection, "select_all_models")
            champions = database.rows(self.session.connection, "select_champions")
        finished = self._finished_runs()
        new_trials = [row for row in trials if _trial_id(row) not in finished]
        for row in new_trials:
            self._write_trial(row)
        versions = {kind: self._mlflow_versions(kind) for kind in {row["kind"] for row in models}}
        new_models = [row for row in models if row["model_version"] not in versions[row["kind"]]]
        for row in new_models:
            run_id = finished.get(row["model_version"]) or self._write_model(row)
            made = self.client.create_model_version(
                f"{self.portfolio}.{row['kind']}",
                source=f"{self.client.get_run(run_id).info.artifact_uri}/model",
                run_id=run_id,
                tags={ID: row["model_version"], "sha256": row["artifact_sha256"]},
            )
            versions[row["kind"]][row["model_version"]] = made.version
        for row in models:
            self._write_verdict(row, versions[row["kind"]][row["model_version"]])
        for row in champions:
            self.client.set_registered_model_alias(
                f"{self.portfolio}.{row['kind']}",
                CHAMPION,
                versions[row["kind"]][row["model_version"]],
            )
        in_use = {row["kind"]: row["model_version"] for row in champions}
        return MirrorCounts(len(new_trials), len(new_models), in_use)

    def _write_verdict(self, row: database.Row, version: str) -> None:
        """Show the last verdict on a model, and why it was refused, in MLflow's page of it."""
        if row["verdict"] is None or self.verdicts.get((row["kind"], version)) == row["verdict"]:
            return
        name = f"{self.portfolio}.{row['kind']}"
        self.client.update_model_version(name, version, description=row["verdict"])
        self.client.set_model_version_tag(name, version, VERDICT, row["verdict"][:500])

    def _finished_runs(self) -> dict[str, str]:
        """Return MLflow's run ids of finished runs, by the tag `loan_scoring.id`.

        Delete unfinished runs, which a killed process left behind.
        """
        found: dict[str, str] = {}
        token = None
        while True:
            page = self.client.search_runs([self.experiment], max_results=1000, page_token=token)
            for run in page:
                our_id = run.data.tags.get(ID)
                if run.info.status == "FINISHED" and our_id:
                    found[our_id] = run.info.run_id
                elif our_id:
                    self.client.delete_run(run.info.run_id)
            token = page.token
            if not token:
                return found

    def _mlflow_versions(self, kind: str) -> dict[str, str]:
        """Return MLflow's version number of each model version of a kind, by model version.

        If MLflow has no registered model of this kind yet, create the registered model.
        """
        from mlflow.exceptions import MlflowException

        name = f"{self.portfolio}.{kind}"
        try:
            self.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self.client.create_registered_model(name)
        found: dict[str, str] = {}
        token = None
        while True:
            page = self.client.search_model_versions(f"name = '{name}'", page_token=token)
            self.verdicts |= {(kind, each.version): each.description for each in page}
            found |= {each.tags[ID]: each.version for each in page if ID in each.tags}
            token = page.token
            if not token:
                return found

    def _write_trial(self, row: database.Row) -> None:
        milliseconds = int(row["tried_at"].timestamp() * 1000)
        means = ("auc", "auc_standard_error", "f1_paid", "f1_default", "brier", "log_loss")
        metrics = {
            name: row[name] for name in (*means, "calibration_slope", "calibration_intercept")
        }
        self._write_run(
            _trial_id(row),
            row["trial"],
            milliseconds - int(row["seconds"] * 1000),
            milliseconds,
            {"algorithm": row["algorithm"], **row["parameters"]},
            metrics | {"seconds": row["seconds"]},
            {"training": row["fingerprint"], "what": "trial"},
            row["folds"],
        )

    def _write_model(self, row: database.Row) -> str:
        at = int(row["created_at"].timestamp() * 1000)
        metrics = {name: value for name, value in row["metrics"].items() if _is_number(value)}
        for name, (low, high) in row["metrics"].get("intervals", {}).items():
            metrics |= {f"{name}_low": low, f"{name}_high": high}
        kind = row["metrics"].get("mitigation")
        return self._write_run(
            row["model_version"],
            row["model_version"],
            at,
            at,
            {"algorithm": row["algorithm"], **row["parameters"]},
            metrics,
            {
                "training": row["fingerprint"],
                "what": "model",
                "code_version": row["code_version"],
                "artifact_sha256": row["artifact_sha256"],
                **({"mitigation": kind} if kind else {}),
            },
            [],
            row,
        )

    def _write_run(
        self,
        ours: str,
        name: str,
        started: int,
        ended: int,
        parameters: dict[str, Any],
        metrics: dict[str, Any],
        tags: dict[str, str],
        folds: list[dict[str, float]],
        model: database.Row | None = None,
    ) -> str:
        """Write one run with parameters, metrics and files, and return MLflow's run id.

        The run is marked as finished only at the end, so that an interrupted run is recognized.

        Args:
            ours: id of the trial or model, for the tag `loan_scoring.id`.
            name: name of the run in MLflow.
            started: start time in milliseconds since 1970.
            ended: end time in milliseconds since 1970.
            parameters: parameters of the run.
            metrics: metrics of the run. A metric that is None is left out.
            tags: further tags.
            folds: metrics of each fold, written with the fold's index as the step.
            model: row of the model whose files are to be logged, or None for a trial.
        """
        from mlflow.entities import Metric, Param

        run_id: str = self.client.create_run(
            self.experiment, start_time=started, run_name=name, tags={ID: ours, **tags}
        ).info.run_id
        points = [
            Metric(key, float(value), ended, 0)
            for key, value in metrics.items()
            if value is not None
        ]
        points += [
            Metric(f"fold_{key}", value, ended, step)
            for step, fold in enumerate(folds)
            for key, value in fold.items()
        ]
        self.client.log_batch(
            run_id, points, [Param(key, str(value)) for key, value in parameters.items()]
        )
        if model is not None:
            self._log_files(run_id, model)
        self.client.set_terminated(run_id, end_time=ended)
        return run_id

    def _log_files(self, run_id: str, row: database.Row) -> None:
        content = read_artifact(self.portfolio, row["artifact"], row["artifact_sha256"])
        with tempfile.TemporaryDirectory(prefix="loan-scoring-") as folder:
            path = Path(folder) / row["artifact"]
            path.write_bytes(content)
            for each in [path, *write_flavour(path.parent, self.session, row, run_id)]:
                self.client.log_artifact(run_id, str(each), "model")
            for name in ("features", "metrics", "training_data", "leaks"):
                if row[name] is not None:
                    path = Path(folder) / f"{name}.json"
                    path.write_text(json.dumps(row[name], indent=2))
                    self.client.log_artifact(run_id, str(path))


def _trial_id(row: database.Row) -> str:
    return f"{row['fingerprint']}/{row['trial']}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
