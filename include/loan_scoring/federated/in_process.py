"""Run a federation in one process: Flower's apps and strategies, without a network."""

import copy
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from loan_scoring.federated.client import client_app
from loan_scoring.federated.server import Federation
from loan_scoring.federated.site import Site


class LocalGrid(Grid):
    """A grid whose sites are functions. Messages are copied, as a network would."""

    def __init__(self, apps: Sequence[ClientApp]) -> None:
        """Take the app of each site."""
        self._run = Run.create_empty(1)
        self._apps = dict(enumerate(apps, 1))
        self._contexts = {
            node: Context(1, node, {}, RecordDict(), {}, series_id=1) for node in self._apps
        }
        self._replies: dict[str, Message] = {}
        self._numbers = itertools.count(1)

    def set_run(self, run: Run) -> None:
        """Set the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run."""
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str,
        ttl: float | None = None,
    ) -> Message:  # fmt: skip
        """Return a new message."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return the numbers of all sites."""
        return [*self._apps]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Let the sites answer, and keep the replies."""
        numbers = []
        for message in messages:
            number = str(next(self._numbers))
            self._replies[number] = self._reply(message)
            numbers.append(number)
        return numbers

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return replies."""
        return [self._replies.pop(each) for each in message_ids if each in self._replies]

    def send_and_receive(
        self,
        messages: Iterable[Message],
        *,
        timeout: float | None = None,  # noqa: ARG002
    ) -> list[Message]:
        """Return the replies of all sites."""
        return self.pull_messages(self.push_messages(messages))

    def _reply(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        asked = copy.deepcopy(message)
        try:
            reply = self._apps[node](asked, self._contexts[node])
        except Exception as error:  # noqa: BLE001 - as a SuperNode, which answers with any error
            reply = Message(Error(code=0, reason=str(error)), reply_to=asked)
        return copy.deepcopy(reply)


def federate(
    sites: Sequence[Site], request: dict[str, Any], folder: Path
) -> tuple[dict[str, Any], Federation]:
    """Train at sites of this process, and return the result and the run.

    Args:
        sites: the sites.
        request: request, as `run.request_of` returns it.
        folder: folder of the sites' logs.
    """
    federation = federation_of(sites, request, folder)
    return federation.run(), federation


def federation_of(sites: Sequence[Site], request: dict[str, Any], folder: Path) -> Federation:
    """Return a run at sites of this process that is not started yet."""

    def app(site: Site) -> ClientApp:
        return client_app(lambda _: site, lambda _: folder / f"{site.name}.jsonl")

    # A SuperLink would set these numbers in the process of the server.
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 0
    context = Context(1, 0, {}, RecordDict(), {}, series_id=1)
    return Federation(LocalGrid([app(each) for each in sites]), context, request)
