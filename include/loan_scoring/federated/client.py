"""Make Flower's ClientApp of a site, with the guards that its contract asks for."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.compat.common import recorddict_compat

from loan_scoring.federated import guards
from loan_scoring.federated.site import Question, Site

FindSite = Callable[[Context], Site]


def client_app(
    site_of: FindSite,
    log_of: Callable[[Context], Path],
    at_end: Callable[[Context], None] = lambda _: None,
) -> ClientApp:
    """Return the app of a site.

    Args:
        site_of: function that returns the site of a node.
        log_of: function that returns the file in which the node logs what it sends.
        at_end: function that is called after the last answer of a run.
    """
    app = ClientApp(
        mods=[
            lambda message, context, go: _logged(log_of(context), message, context, go),
            lambda message, context, go: guards.mask(site_of(context), message, context, go),
            lambda message, context, go: guards.add_noise(site_of(context), message, context, go),
        ]
    )

    @app.train()
    def train(message: Message, context: Context) -> Message:
        site = site_of(context)
        if guards.QUESTION in message.content.config_records:
            return _vector(site, message)
        return _trees(site, message)

    @app.query("describe")
    def describe(message: Message, context: Context) -> Message:
        return _told(message, site_of(context).describe())

    @app.query("evaluate")
    def evaluate(message: Message, context: Context) -> Message:
        question = Question.read(str(message.content.config_records["config"]["question"]))
        found = site_of(context).evaluate(question) | _sent(log_of(context))
        at_end(context)
        return _told(message, found)

    return app


def _logged(
    path: Path, message: Message, context: Context, go: Callable[[Message, Context], Message]
) -> Message:
    reply = go(message, context)
    guards.log_sent(path, message, reply)
    return reply


def _sent(path: Path) -> dict[str, int]:
    """Return how often and how much this site has sent in this run."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {"messages_sent": len(lines), "bytes_sent": sum(line["bytes"] for line in lines)}


def _vector(site: Site, message: Message) -> Message:
    ins = recorddict_compat.recorddict_to_fitins(message.content, keep_input=True)
    start = parameters_to_ndarrays(ins.parameters)[0]
    found = [site.answer(Question.read(str(ins.config["question"])), start)]
    guards.check_finite(site, found)
    result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters(found), len(site.y), {})
    content = recorddict_compat.fitres_to_recorddict(result, keep_input=False)
    return Message(content, reply_to=message)


def _trees(site: Site, message: Message) -> Message:
    question = Question.read(str(message.content.config_records["config"]["question"]))
    model = message.content.array_records["arrays"]["0"].numpy().tobytes()
    found = np.frombuffer(site.boost(question, model), dtype=np.uint8)
    content = RecordDict(
        {
            "arrays": guards.one_array(found),
            "metrics": MetricRecord({"num-examples": len(site.y)}),
        }
    )
    return Message(content, reply_to=message)


def _told(message: Message, found: dict[str, object]) -> Message:
    content = RecordDict({"answer": ConfigRecord({"json": json.dumps(found)})})
    return Message(content, reply_to=message)
