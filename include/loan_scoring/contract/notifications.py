"""Define who gets messages about alerts and failed stages."""

import re
from typing import Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract.columns import NAME
from loan_scoring.contract.parts import ContractPart

AlertKind = Literal[
    "bad_data", "population", "concept", "quality", "delivery", "failure", "landing", "contract",
    "open_day", "scans",
]  # fmt: skip
"""The kinds of alert that a channel can send."""


class Channel(ContractPart):
    """A notification channel: the Airflow connection that sends, and the alerts that are sent."""

    name: str
    """Its name in alerts and in `deliveries`. With another name it is a new channel and gets every
    open alert.
    """
    kind: Literal["smtp", "slack", "webhook"]
    """`smtp`: a mail. `slack`: an incoming webhook of Slack. `webhook`: a POST of JSON."""
    connection: str
    """Id of the Airflow connection, which holds the address and every secret."""
    recipients: list[str] = Field(default_factory=list)
    """For `smtp` only: mail addresses."""
    least_severity: Literal["warning", "critical"] = "warning"
    """`critical`: nothing about an alert while it is a warning."""
    alerts: list[AlertKind] = Field(default=[*get_args(AlertKind)], min_length=1)
    """The kinds of alert that it gets."""

    @field_validator("name")
    @classmethod
    def _is_identifier(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError(
                f"'{name}' is not a valid channel name: use lower-case letters, digits and _"
            )
        return name

    @field_validator("connection")
    @classmethod
    def _is_no_address(cls, connection: str) -> str:
        # The error message does not contain the value, because a user may have entered a secret.
        if not re.fullmatch(r"\w[\w.-]{0,199}", connection):
            raise ValueError(
                "give the id of an Airflow connection (letters, digits, _ . -), "
                "which holds the address and its secrets"
            )
        return connection

    @model_validator(mode="after")
    def _has_recipients(self) -> Self:
        if (self.kind == "smtp") != bool(self.recipients):
            raise ValueError(
                "a channel of kind smtp needs recipients"
                if self.kind == "smtp"
                else f"only smtp has recipients; the connection of a {self.kind} sets its own"
            )
        for each in self.recipients:
            if not re.fullmatch(r"[^@\s,;<>]+@[^@\s,;<>]+", each):
                raise ValueError(f"recipients: '{each}' is not an e-mail address")
        return self
