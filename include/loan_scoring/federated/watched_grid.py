"""Count what passes a Flower grid, and remember which sites are left out and why."""

from collections.abc import Callable, Iterable
from typing import Any

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from loan_scoring.errors import StateError
from loan_scoring.federated.guards import content_bytes


class WatchedGrid(Grid):
    """A grid that hides the sites that are left out, so that no strategy asks them again."""

    def __init__(self, inner: Grid, min_sites: int, answer_within_seconds: float) -> None:
        """Take the grid of the server, and within how many seconds a site must answer."""
        self._inner, self._min_sites, self._seconds = inner, min_sites, answer_within_seconds
        self.names: dict[int, str] = {}
        self.left_out: dict[int, dict[str, Any]] = {}
        self.round = 0
        self.bytes_to_sites = self.bytes_to_server = 0
        self.watch: Callable[[Message], None] | None = None

    def leave_out(self, node_id: int, reason: str) -> None:
        """Ask a site nothing more in this run.

        Raises:
            StateError: too few sites are left.
        """
        name = self.names.get(node_id, f"node {node_id}")
        self.left_out.setdefault(
            node_id, {"site": name, "round": self.round, "reason": reason.strip()}
        )
        left = [each for each in self.names if each not in self.left_out]
        if self.names and len(left) < self._min_sites:
            told = "; ".join(f"{each['site']}: {each['reason']}" for each in self.left_out.values())
            raise StateError(
                f"{len(left)} sites are left in round {self.round}, and federated.min_sites is "
                f"{self._min_sites} ({told}); mend these sites and start the run again"
            )

    def set_run(self, run: Run) -> None:
        """Set the run on the inner grid."""
        self._inner.set_run(run)

    @property
    def run(self) -> Run:
        """The run of the inner grid."""
        return self._inner.run

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        """Return a message of the inner grid."""
        return self._inner.create_message(*args, **kwargs)

    def get_node_ids(self) -> list[int]:
        """Return the sites that are not left out."""
        known = self.names or dict.fromkeys(self._inner.get_node_ids(), "")
        return [each for each in known if each not in self.left_out]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages without waiting."""
        return list(self._inner.push_messages(messages))

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return replies that are there."""
        return list(self._inner.pull_messages(message_ids))

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Return the replies in the order of the sites' names. A site without one is left out."""
        asked = list(messages)
        self.bytes_to_sites += sum(map(content_bytes, asked))
        limit = min(timeout or self._seconds, self._seconds)
        replies = list(self._inner.send_and_receive(asked, timeout=limit))
        for reply in replies:
            self.bytes_to_server += content_bytes(reply)
            if self.watch is not None:
                self.watch(reply)
        errors = {
            reply.metadata.src_node_id: reply.error.reason for reply in replies if reply.has_error()
        }
        answered = {reply.metadata.src_node_id for reply in replies}
        for message in asked:
            node = message.metadata.dst_node_id
            if node in errors:
                self.leave_out(node, errors[node].splitlines()[-1] if errors[node] else "it failed")
            elif node not in answered:
                self.leave_out(node, f"no answer within {limit:g} seconds")
        return sorted(replies, key=lambda each: self.names.get(each.metadata.src_node_id, ""))


def ask(grid: WatchedGrid, action: str, content: RecordDict) -> dict[int, Message]:
    """Send a query to all sites that are left, and return the replies without error by node."""
    messages = [
        Message(content, dst_node_id=node, message_type=f"query.{action}")
        for node in grid.get_node_ids()
    ]
    replies = grid.send_and_receive(messages)
    return {each.metadata.src_node_id: each for each in replies if each.has_content()}
