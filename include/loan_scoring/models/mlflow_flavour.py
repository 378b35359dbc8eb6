"""MLflow's flavour `python_function` of a model: MLflow's own tools load it, serve it, and run it
on Spark.

The propensity model returns probabilities of default, the personas model names of personas. An
excluded application has no value. Reasons, decisions and grades need both models and the policy:
`loan-scoring score` and the API return them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.contract.trained import under_model
from loan_scoring.database.session import Session
from loan_scoring.database.types import ARROW_TYPES
from loan_scoring.errors import SourceError
from loan_scoring.features.compute import compute_features
from loan_scoring.models.artifacts import read_trusted
from loan_scoring.models.contributions import Contributions
from loan_scoring.models.encoding import Encoder, split_columns
from loan_scoring.models.scorer import exclusion_reasons

DESCRIPTION = "loan_scoring.json"
"""File beside the artifact: the contract of the training, and what the estimator is."""


def write_flavour(folder: Path, session: Session, row: database.Row, run_id: str) -> list[Path]:
    """Write the files that make a model's artifact a model of MLflow. Return their paths.

    Args:
        folder: folder that has the artifact.
        session: session on the portfolio.
        row: row of the model in table `models`.
        run_id: MLflow's id of the run that gets the files.
    """
    from mlflow import pyfunc
    from mlflow.models import Model

    contract = under_model(session.contract, row["training_data"])
    description = {
        "kind": row["kind"],
        "features": row["features"],
        "artifact": row["artifact"],
        "personas": [each["name"] for each in row["metrics"].get("personas", [])],
        # Without channels and their addresses, which are of no use to a model.
        "contract": contract.model_dump(mode="json", exclude={"notifications"}),
    }
    (folder / DESCRIPTION).write_text(json.dumps(description))
    model = Model(artifact_path="model", run_id=run_id)
    pyfunc.add_to_model(model, loader_module=__name__)
    model.save(folder / "MLmodel")
    return [folder / DESCRIPTION, folder / "MLmodel"]


def _load_pyfunc(path: str) -> "LoadedModel":
    """Return the model of a folder. MLflow calls this by its name.

    Only trusted types are loaded, but nothing compares the hash with the registered one.
    """
    folder = Path(path)
    found = json.loads((folder / DESCRIPTION).read_text())
    return LoadedModel(
        Contract.model_validate(found["contract"]),
        read_trusted((folder / found["artifact"]).read_bytes(), found["artifact"]),
        found["features"],
        np.array(found["personas"], dtype=object) if found["kind"] == "personas" else None,
    )


@dataclass(frozen=True)
class LoadedModel:
    """A model as MLflow uses it. `personas` has the names of clusters, or None for propensity."""

    contract: Contract
    estimator: Any
    features: list[str]
    personas: np.ndarray | None

    def predict(self, data: pd.DataFrame, params: Any = None) -> np.ndarray:  # noqa: ARG002
        """Return one value for each application, shape (rows,).

        Args:
            data: applications, with the contract's columns and those of look-ups.
            params: MLflow passes it; there are no parameters.

        Raises:
            SourceError: a column is missing, or has values of another type.
        """
        table = self._table(data)
        judged = exclusion_reasons(self.contract, table).is_null().to_numpy(zero_copy_only=False)
        kept = compute_features(self.contract, table, self.features).filter(pa.array(judged))
        columns = split_columns(kept, self.contract, self.features)
        encoded = Encoder(self.estimator[0]).encode(columns)
        if self.personas is None:
            values = np.full(table.num_rows, np.nan)
            if kept.num_rows:
                model = Contributions(self.estimator, self.features)
                values[judged] = model.probabilities(encoded)[0]
            return values
        names = np.full(table.num_rows, None, dtype=object)
        if kept.num_rows:
            names[judged] = self.personas[self.estimator[-1].predict(encoded)]
        return names

    def _table(self, data: pd.DataFrame) -> pa.Table:
        used = {*self.features} | {each.column for each in self.contract.exclusions}
        needed = self.contract.derived.closure(used)
        columns = [each for each in self.contract.joined if each.name in needed]
        missing = [each.name for each in columns if each.name not in data.columns]
        if missing:
            raise SourceError(f"the applications lack {', '.join(missing)}; add these columns")
        typed = {}
        for column in columns:
            # pandas has no null integer: such a column arrives as floats, and null as nan.
            try:
                values = pa.array(data[column.name], from_pandas=True)
                typed[column.name] = values.cast(ARROW_TYPES[column.type])
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
                raise SourceError(
                    f"column {column.name} has values that are no {column.type}: "
                    f"{str(error).splitlines()[0]}"
                ) from error
        return pa.table(typed)
