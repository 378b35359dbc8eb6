"""Define what people write of a portfolio's models: purpose, persons, risks and improvements.

Nothing here changes a model, a score or a decision. The report of a model shows it, and marks what
is left out as open.
"""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from loan_scoring.contract.parts import ContractPart

Words = Annotated[str, Field(min_length=1)]
Grade = Literal["low", "medium", "high"]


class Responsible(ContractPart):
    """A person or an office that is responsible for a part of the life of a model."""

    role: Words
    """For what: owner, developer, validator, oversight, ..."""
    name: Words
    """A name, or an office."""


class Risk(ContractPart):
    """A row of the risk register (Regulation (EU) 2024/1689, article 9)."""

    risk: Words
    """What may happen."""
    affected: Words
    """To whom."""
    likelihood: Grade
    """`low`, `medium` or `high`, without the measure."""
    severity: Grade
    """`low`, `medium` or `high`, without the measure."""
    measure: Words
    """What is done against it."""
    residual: Grade
    """What is left with the measure."""
    owner: Words | None = None
    """Who looks after it."""
    reviewed_on: date | None = None
    """When it was last looked at."""


class Governance(ContractPart):
    """What people write of a portfolio's models, for the report of a model."""

    purpose: Words | None = None
    """Which business decision the models support, and why."""
    intended_use: Words | None = None
    """For whom and for which applications they are meant."""
    not_intended: Words | None = None
    """Uses that can be foreseen and are not meant."""
    provider: Words | None = None
    """Who puts the models into use: name and address of the company."""
    contact: Words | None = None
    """Whom to ask."""
    responsible: list[Responsible] = Field(default_factory=list)
    """Who is responsible for what: a list of `role` and `name`."""
    human_oversight: Words | None = None
    """Who looks at decisions, and what these people may do."""
    instructions: Words | None = None
    """Where the instructions for use are."""
    hardware: Words | None = None
    """On which machines the models run."""
    cybersecurity: Words | None = None
    """How the machines and the database are protected."""
    metrics_rationale: Words | None = None
    """Why the metrics of the models fit their purpose."""
    standards: list[Words] = Field(default_factory=list)
    """Standards and technical specifications that are applied."""
    declaration: Words | None = None
    """Where the EU declaration of conformity is."""
    improvements: list[Words] = Field(default_factory=list)
    """Improvements that are planned."""
    risks: list[Risk] = Field(default_factory=list)
    """The risk register, see [governance](#governance)."""
