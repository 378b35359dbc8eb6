"""Models of the API's requests and responses. Their docstrings appear in the OpenAPI document."""

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
            "description": "Fields by the contract's names, see `inputs` of a model",
            "additionalProperties": {"type": ["string", "number", "null"]},
        }
    ),
]


class Shape(BaseModel):
    """Base of request bodies. An unknown field in a request body is a validation error."""

    model_config = ConfigDict(extra="forbid")


class Refusal(BaseModel):
    """Why a request was refused, in one line."""

    detail: str


class FieldFault(BaseModel):
    """What is wrong with a field of the request."""

    loc: list[str | int]
    msg: str
    type: str


class Refusals(BaseModel):
    """What is wrong with the request, field by field."""

    detail: list[FieldFault] | str


class ScoreRequest(Shape):
    """Some applications, and by which model they are to be scored."""

    model: str = Field(
        "champion",
        pattern=VERSION_OR_CHAMPION,
        description="champion, or a version: its pair of models scores",
    )
    applications: list[Application] = Field(min_length=1, max_length=MOST_APPLICATIONS)


class Score(BaseModel):
    """What the models say of an application; a referred one has a reason and no probability."""

    loan_id: int | str
    default_probability: float | None
    exclusion_reason: str | None
    decision: Literal["approve", "review", "decline", "refer"]
    persona: str | None
    persona_default_rate: float | None = Field(
        description="Mean default rate of the applicant's group at training"
    )
    reasons: list[str] = Field(
        description="The inputs that push the probability up most; of review and decline"
    )
    propensity_version: str
    personas_version: str


class Scored(BaseModel):
    """Scores in the order of the applications; `call_id` is the row of table `calls`."""

    call_id: str
    propensity_version: str
    personas_version: str
    seconds: float
    scores: list[Score]


class Execution(BaseModel):
    """A published scoring run: a batch revision scored with a pair of models."""

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
    """A page of scoring runs; `next` is `after` of the page that follows, null on the last."""

    executions: list[Execution]
    next: str | None


class ScoreRow(BaseModel):
    """A row of table `scores`."""

    loan_id: int | str
    default_probability: float | None
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


class ScoreRows(BaseModel):
    """A page of a run's scores; `next` is `after` of the page that follows, null on the last."""

    scores: list[ScoreRow]
    next: int | str | None


class Call(BaseModel):
    """A scoring that was asked for outside the nights."""

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
    """A page of calls; `next` is `after` of the page that follows, null on the last."""

    calls: list[Call]
    next: str | None


class Batch(BaseModel):
    """A batch: what came in, what was scored, what drifted."""

    batch_id: str
    revision: int
    source: str
    received: int
    accepted: int
    quarantined: int
    scoring_run_id: str | None
    scored: int | None
    referred: int | None
    propensity_version: str | None
    drift_findings: int
    open_alerts: int
    landed_at: datetime | None
    scored_at: datetime | None


class Batches(BaseModel):
    """A page of batches, the latest first; `next` is `before` of the page that follows."""

    batches: list[Batch]
    next: str | None


class DriftTest(BaseModel):
    """One test on one feature of a batch."""

    kind: str
    feature: str
    test: str
    statistic: float
    p_value: float | None
    p_adjusted: float | None
    effect: float
    threshold: float
    level: Literal["stable", "attention", "drifted"]


class Drift(BaseModel):
    """What a batch was tested for against the baseline of the model that scored it."""

    batch_id: str
    scoring_run_id: str
    propensity_version: str
    tests: list[DriftTest]


class Alert(BaseModel):
    """Something a person should look at."""

    alert_id: int
    batch_id: str
    last_batch_id: str
    batches: int
    severity: str
    kind: str
    subject: str
    message: str
    state: str
    changed_by: str
    changed_at: datetime
    raised_at: datetime
    comment: str | None


class Alerts(BaseModel):
    """Alerts, the latest first; `next` is `before` of the page that follows."""

    alerts: list[Alert]
    next: int | None


class Acknowledgement(Shape):
    """What the person says who acknowledges an alert."""

    comment: str = Field("", max_length=2000, pattern=r"^[^\x00]*$")


class ModelInput(BaseModel):
    """A field that an application has to have for a model."""

    name: str
    label: str
    type: str
    unit: str | None
    levels: list[str] | None
    is_open: bool = Field(description="Whether other levels are taken too")
    low: float | None
    high: float | None


class ModelRow(BaseModel):
    """A fitted model version."""

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
    """A model version with what it reads and every verdict on it."""

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
