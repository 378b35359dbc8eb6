"""A broken contract is one alert, told once, and the alert is resolved when the file is mended."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from loan_scoring import contract as contracts
from loan_scoring import database
from loan_scoring.contract import Channel
from loan_scoring.database.session import Session, open_session
from loan_scoring.monitoring.alerts.contracts import reconcile_contracts
from loan_scoring.monitoring.alerts.messages import Message

pytestmark = pytest.mark.integration

BROKEN = "portfolio: {}\ntitle: Broken\nowner: x\ncolumns: []\n"
COLUMNS = [
    {"source": "nr", "name": "loan_id", "label": "Nr", "type": "integer", "known": "application"},
    {"source": "x", "name": "x", "label": "X", "type": "number", "known": "application"},
]


class Folder:
    """A folder of small contracts, and everything that was sent."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url
        self.told: list[tuple[str, str]] = []

    def write(self, name: str) -> None:
        content = {
            "portfolio": name, "title": name, "owner": "risk", "columns": COLUMNS,
            "target": {"source": "s", "positive": ["bad"], "negative": ["paid"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.3},
            "notifications": [{"name": f"of_{name}", "kind": "webhook", "connection": "c"}],
        }  # fmt: skip
        (self.path / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def spoil(self, name: str, content: str = BROKEN) -> None:
        (self.path / f"{name}.yaml").write_text(content.format(name))

    def set_up(self, *names: str) -> None:
        for name in names:
            self.write(name)
            with open_session(name, self.url):
                pass

    def check(self) -> list[tuple[str, str]]:
        """Check all contracts, and return which channel was told what."""
        self.told = []
        reconcile_contracts(self.url, self.send)
        return self.told

    def send(self, channel: Channel, message: Message) -> None:
        self.told += [(channel.name, each["event"]) for each in message.payload["alerts"]]

    def alerts(self, *names: str) -> list[tuple[str, str, str]]:
        """Return schema, subject and state of every alert on a contract."""
        found = []
        for name in names:
            connection = database.connect(name, self.url)
            query = "select subject, state from alerts where kind = 'contract' order by alert_id"
            _, rows = database.select_read_only(connection, query)
            found += [(name, *row) for row in rows]
            connection.close()
        return found


@pytest.fixture
def folder(
    tmp_path: Path, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Folder:
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    made = Folder(tmp_path, new_database())
    made.set_up("cards", "homes")
    return made


@pytest.mark.parametrize("content", [BROKEN, "columns: [a\n"])
def test_broken_contract_is_one_alert_told_once_and_resolved_when_mended(
    folder: Folder, content: str
) -> None:
    assert folder.check() == []
    folder.spoil("homes", content)
    assert folder.check() == [("of_homes", "opened")]
    assert folder.check() == []
    assert folder.alerts("cards", "homes") == [("homes", "homes", "open")]
    folder.write("homes")
    assert folder.check() == [("of_homes", "resolved")]
    assert folder.check() == []
    assert folder.alerts("cards", "homes") == [("homes", "homes", "resolved")]


def test_only_portfolio_is_told_of_its_own_broken_contract(folder: Folder) -> None:
    (folder.path / "homes.yaml").unlink()
    folder.check()
    folder.spoil("cards", "columns: [a\n")
    assert folder.check() == [("of_cards", "opened")]


@pytest.mark.parametrize("name", ["broken", "pg_loans", "My loans"])
def test_broken_contract_without_tables_is_an_alert_of_the_first_portfolio(
    folder: Folder, name: str
) -> None:
    folder.spoil(name)
    assert folder.check() == [("of_cards", "opened")]
    assert folder.alerts("cards", "homes") == [("cards", name, "open")]
    (folder.path / f"{name}.yaml").unlink()
    assert folder.check() == [("of_cards", "resolved")]


def test_alert_stays_where_it_is_when_a_portfolio_is_added(folder: Folder) -> None:
    folder.spoil("broken")
    folder.check()
    folder.set_up("boats")
    assert folder.check() == []
    assert folder.alerts("boats", "cards") == [("cards", "broken", "open")]


def test_alert_moves_when_the_portfolio_that_keeps_it_breaks_too(folder: Folder) -> None:
    folder.spoil("broken")
    folder.check()
    folder.spoil("cards")
    folder.check()
    still_open = [each[:2] for each in folder.alerts("cards", "homes") if each[2] == "open"]
    assert still_open == [("cards", "cards"), ("homes", "broken")]


def test_new_contract_gets_no_tables_by_the_check(folder: Folder) -> None:
    folder.write("ships")
    folder.check()
    connection = database.connect("ships", folder.url)
    _, rows = database.select_read_only(
        connection, "select 1 from pg_namespace where nspname = 'ships'"
    )
    connection.close()
    assert rows == []


def test_alert_says_what_is_wrong_where_and_what_to_do(folder: Folder) -> None:
    folder.check()
    folder.spoil("homes")
    folder.check()
    connection = database.connect("homes", folder.url)
    query = "select severity, message from open_alerts"
    ((severity, message),) = database.select_read_only(connection, query)[1]
    connection.close()
    assert severity == "critical"
    assert message.startswith("The contract of homes cannot be used, and no stage of homes runs: ")
    assert "homes.yaml: columns: List should have at least 2 items" in message
    assert "mend the file" in message


def test_session_on_another_portfolio_does_not_see_the_broken_contract(folder: Folder) -> None:
    folder.spoil("homes")
    with open_session("cards", folder.url) as session:
        assert isinstance(session, Session)
    assert [each.portfolio for each in contracts.load_all()[0]] == ["cards"]
