"""Pydantic models of the API's requests and responses.

Their docstrings are printed in the OpenAPI document.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

MOST_APPLICATIONS = 1000
VERSION = r"^(propensity|personas)-[1-9][0-9]{0,8}$"
VERSION_OR_CHAMPION = r"^(champion|(propensity|personas)-[1-9][0-9]{0,8})$"

Application = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "Values by field name. The names are those of the contract. `inputs` of"
            " a model version lists the fields that the version reads. Whatever the notation of"
            " files, a number has a decimal point, a boolean is true or false, a date is ISO 8601."
            " A key of several columns is the list of its parts, or the joined key as one string.",
            "additionalProperties": {"type": ["string", "number", "boolean", "null", "array"]},
        }
    ),
]


class Shape(BaseModel):
    """Base class of request bodies. Unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid")


class Refusal(BaseModel):
    """Error response (RFC 9457). `detail` gives the reason in one line."""

    title: str
    status: int
    detail: str


class FieldFault(BaseModel):
    """A validation error.

    `loc` is the path to the field, `msg` is the reason, and `type` is the broken rule.
    """

    loc: list[str | int]
    msg: str
    type: str


class Refusals(Refusal):
    """Response to an invalid request. `errors` lists the validation errors, if there are any."""

    errors: list[FieldFault] = []


class ScoreRequest(Shape):
    """Applications to score, and the model that scores them."""

    model: str = Field(
        "champion",
        pattern=VERSION_OR_CHAMPION,
        description="`champion`, or a model version. A version is used with the other model"
        " of its pair. A pair is a propensity model and a personas model.",
    )
    applications: list[Application] = Field(min_length=1, max_length=MOST_APPLICATIONS)


class Score(BaseModel):
    """The score of one application.

    If the contract excludes the application, the decision is `refer`, `exclusion_reason` gives the
    reason, and the probability and the persona are null.
    """

    loan_id: int | str
    default_probability: float | None
    grade: str | None = Field(
        description="Grade of the probability. Null without a scale or a probability"
    )
    exclusion_reason: str | None
    decision: Literal["approve", "review", "decline", "refer"]
    persona: str | None
    persona_default_rate: float | None = Field(
        description="Mean default rate of the persona at training. Null if there is no persona"
    )
    reasons: list[str] = Field(
        description="Labels of up to four inputs that raise the probability most, strongest first."
        " Empty unless the decision is `review` or `decline`"
    )
    propensity_version: str
    personas_version: str


class Scored(BaseModel):
    """Scores in the order of the applications in the request.

    `call_id` identifies the row of table `calls` that stores the request and the scores.
    """

    call_id: str
    propensity_version: str
    personas_version: str
    seconds: float
    scores: list[Score]


class Execution(BaseModel):
    """A published scoring run: one revision of a batch, scored with one pair of models."""

    scoring_run_id: str
    batch_id: str
    revision: int
    propensity_version: str
    personas_version: str
    is_current: bool
    applications: int
    scored: int
    referred: int
    planned_at: datetime
    published_at: datetime


class Executions(BaseModel):
    """A page of scoring runs.

    `next` is the value to pass as `after` for the next page, or null if there is none.
    """

    executions: list[Execution]
    next: str | None


class ScoreRow(BaseModel):
    """A row of table `scores`, with the decision of a person that counts.

    Documents that are wanted, a first decision that waits for a second person, and a decision that
    was undone are no decision. `decision` is always that of the policy.
    """

    loan_id: int | str
    default_probability: float | None
    grade: str | None
    exclusion_reason: str | None
    decision: str
    persona: str | None
    persona_default_rate: float | None
    reason_1: str | None
    reason_2: str | None
    reason_3: str | None
    reason_4: str | None
    propensity_version: str
    personas_version: str
    scored_at: datetime
    person_decision: Literal["approve", "decline"] | None = Field(
        description="Decision of a person, on appeal too. Null if none counts"
    )
    person_decided_at: datetime | None
    person_approved_up_to: float | None = Field(
        description="Condition of the person's approval: at most this amount. Null without one"
    )
    desk_state: Literal["documents", "second"] | None = Field(
        description="`documents`: they are wanted. `second`: a second person must confirm"
    )


class ScoreRows(BaseModel):
    """A page of the scores of a scoring run.

    `next` is the value to pass as `after` for the next page, or null if there is none.
    """

    scores: list[ScoreRow]
    next: int | str | None


class Call(BaseModel):
    """A call: one scoring on demand, from the API (`score`) or from the desk (`what_if`)."""

    call_id: str
    called_at: datetime
    called_by: str
    purpose: Literal["score", "what_if"]
    propensity_version: str
    personas_version: str
    applications: int
    input: list[dict[str, Any]]
    output: list[dict[str, Any]]
    seconds: float


class Calls(BaseModel):
    """A page of calls.

    `next` is the value to pass as `after` for the next page, or null if there is none.
    """

    calls: list[Call]
    next: str | None


class ModelInput(BaseModel):
    """An input of a model version: a field that every application must contain."""

    name: str
    label: str
    type: str
    unit: str | None
    levels: list[str] | None
    level_labels: dict[str, str]
    is_open: bool = Field(description="Whether values outside `levels` are accepted")
    low: float | None
    high: float | None


class ModelRow(BaseModel):
    """A model version with its latest verdict."""

    model_version: str
    kind: Literal["propensity", "personas"]
    algorithm: str
    is_champion: bool
    created_at: datetime
    metrics: dict[str, Any]
    verdict: str | None
    decided_by: str | None
    decided_at: datetime | None


class Models(BaseModel):
    """Every model version."""

    models: list[ModelRow]


class Model(BaseModel):
    """A model version with its inputs and every verdict on it, the oldest verdict first."""

    model_version: str
    kind: Literal["propensity", "personas"]
    algorithm: str
    parameters: dict[str, Any]
    metrics: dict[str, Any]
    fingerprint: str
    code_version: str
    artifact_sha256: str
    created_at: datetime
    fitted_with: str
    inputs: list[ModelInput]
    verdicts: list[dict[str, Any]]
