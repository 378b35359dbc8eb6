"""The servers' kept connections: lent again, replaced when lost, and never lent unclean."""

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from loan_scoring.errors import BusyError, DatabaseError

pytestmark = pytest.mark.integration

P = "loan_default"
HELD = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
PLUGINS = str(Path(__file__).resolve().parents[2] / "plugins")


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(PLUGINS)
    module = importlib.import_module("loan_scoring_web.connections")
    module._pool.cache_clear()
    yield module
    module._pool.cache_clear()


@pytest.fixture
def lend(pools: Any, new_database: Callable[..., str]) -> Callable[[], Any]:
    url = new_database()
    return lambda: pools.kept_connection(P, url, 3, {"statement_timeout": "9s"})


def ask(connection: Any, statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def server_process(lend: Callable[[], Any]) -> int:
    with lend() as connection:
        return int(ask(connection, "select pg_backend_pid()"))


def test_a_connection_is_lent_again_with_its_settings(lend: Callable[[], Any]) -> None:
    first = server_process(lend)
    with lend() as connection:
        assert ask(connection, "select pg_backend_pid()") == first
        shown = [ask(connection, f"show {name}") for name in ("statement_timeout", "search_path")]
    assert shown == ["9s", P]


def test_an_open_transaction_ends_with_the_block(lend: Callable[[], Any]) -> None:
    def fail() -> None:
        with lend() as connection:
            ask(connection, "set local statement_timeout = '1s'")
            ask(connection, "create table public.left_over (x int)")
            ask(connection, "select pg_advisory_xact_lock(1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with lend() as connection:
        assert ask(connection, "show statement_timeout") == "9s"
        assert ask(connection, "select to_regclass('public.left_over') is null")
        held = (
            "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        )
        assert ask(connection, held) == 0


@pytest.mark.parametrize("is_in_use", [True, False])
def test_a_lost_connection_is_not_lent_again(lend: Callable[[], Any], is_in_use: bool) -> None:
    process = server_process(lend)
    with lend() as connection:
        parameters = {**connection.info.dsn_parameters, "password": connection.info.password}

    def end() -> None:
        with closing(psycopg2.connect(**parameters)) as other:
            ask(other, f"select pg_terminate_backend({process}, 5000)")

    if is_in_use:
        with pytest.raises(psycopg2.OperationalError), lend() as connection:  # noqa: PT012
            end()
            ask(connection, "select 1")
    else:
        end()
    assert server_process(lend) != process


def test_more_requests_than_connections_wait_and_then_are_told(
    pools: Any, lend: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "KEPT", 1)
    monkeypatch.setattr(pools, "MOST", 1)
    monkeypatch.setattr(pools, "WAIT_SECONDS", 0.3)
    with (
        lend(),
        pytest.raises(BusyError, match="1 requests are using the database"),
        lend(),
    ):
        pass
    held = threading.Event()
    seen: list[int] = []
    waiting = threading.Thread(target=lambda: (held.wait(), seen.append(server_process(lend))))
    waiting.start()
    with lend() as connection:
        held.set()
        seen.append(ask(connection, "select pg_backend_pid()"))
    waiting.join()
    assert seen[0] == seen[1]


def test_a_server_that_is_down_is_one_line(pools: Any) -> None:
    url = "postgresql://nobody:secret@127.0.0.1:1/none"
    with (
        pytest.raises(DatabaseError, match="no database at") as refused,
        pools.kept_connection(P, url, 3, {}),
    ):
        pass
    assert "secret" not in str(refused.value)


def test_the_server_ends_what_nobody_uses(pools: Any, lend: Callable[[], Any]) -> None:
    with lend() as connection:
        assert ask(connection, "show idle_session_timeout") == "1min"
    assert pools.IDLE_TIMEOUT == "60s"


def test_a_forked_process_opens_its_own(
    pools: Any, lend: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = server_process(lend)
    own = pools.os.getpid()
    monkeypatch.setattr(pools.os, "getpid", lambda: own + 1)  # as in a child
    assert server_process(lend) != process
