"""A ClientApp of invented loans. The name of a site says how it is broken."""

import json
import time
from pathlib import Path

import numpy as np
from flwr.app import Context
from generated_sites import contract_with, generated_site

from loan_scoring.federated import guards
from loan_scoring.federated.client import client_app
from loan_scoring.federated.site import Question, Site

FACTORS = {"nan": float("nan"), "huge": 1000.0}
guards.check_finite = lambda *_: None  # as if a hostile site had taken the check out


class Broken(Site):
    """A site that spoils what it fits, or that never answers its second question."""

    folder = Path()

    def answer(self, question: Question, start: np.ndarray) -> np.ndarray:
        """Return the answer, spoilt if it is a fit."""
        if question.task != "fit":
            return super().answer(question, start)
        if self.name == "killed":
            asked = self.folder / "killed.asked"
            times = [*(json.loads(asked.read_text()) if asked.exists() else []), time.time()]
            asked.write_text(json.dumps(times))
            if len(times) == 2:
                time.sleep(3600)  # until it is killed
        return super().answer(question, start) * FACTORS.get(self.name, 1.0)


def find_site(context: Context) -> Site:
    """Return the site that the node's configuration names."""
    name = str(context.node_config["site"])
    contract = contract_with(algorithm="logistic_regression", rounds=3)
    Broken.folder = Path(str(context.node_config["folder"]))
    return Broken(**vars(generated_site(contract, name, 2000, len(name))))


app = client_app(
    find_site,
    lambda context: Path(str(context.node_config["folder"])) / f"{context.node_config['site']}.log",
)
