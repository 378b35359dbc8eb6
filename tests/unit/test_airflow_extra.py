"""Whatever a person may write into the extra of an Airflow connection becomes libpq's options."""

from urllib.parse import quote

import pytest

from loan_scoring.database.connection import libpq_parameters
from loan_scoring.errors import DatabaseError

URL = "postgres://u:secret@h:5432/d"
PLAIN = {"host": "h", "port": "5432", "user": "u", "password": "secret", "dbname": "d"}


@pytest.mark.parametrize(
    ("extra", "options"),
    [
        ("{}", {}),
        ("5", {}),
        ("0.5", {}),
        ("true", {}),
        ("null", {}),
        (
            '{"keepalives_idle": 30, "keepalives": true, "sslmode": "require", "options": null}',
            {"keepalives_idle": "30", "keepalives": "1", "sslmode": "require"},
        ),
        ('{"keepalives": false, "application_name": "a b&c"}', {"keepalives": "0",
         "application_name": "a b&c"}),
        ('{"iam": false, "cursor": "dictcursor", "connect_timeout": 7}', {"connect_timeout": "7"}),
    ],
)  # fmt: skip
def test_extra_of_any_value_is_read(extra: str, options: dict[str, str]) -> None:
    assert libpq_parameters(f"{URL}?__extra__={quote(extra)}") == PLAIN | options


def test_options_beside_the_extra_are_kept() -> None:
    url = f"{URL}?sslmode=require&cursor=dictcursor&__extra__=%7B%7D"
    assert libpq_parameters(url) == PLAIN | {"sslmode": "require"}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("sslmode=require", "Airflow connection: the extra is not JSON"),
        ("[1]", "the extra is not a JSON object"),
        ('"require"', "the extra is not a JSON object"),
        ('{"sslmode": ["require"]}', "option sslmode of the extra is neither text"),
        ('{"iam": true}', '"iam" ; remove this option'),
    ],
)
def test_extra_that_cannot_be_read_is_one_line_with_the_cure(extra: str, message: str) -> None:
    with pytest.raises(DatabaseError, match=message) as caught:
        libpq_parameters(f"{URL}?__extra__={quote(extra)}")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
