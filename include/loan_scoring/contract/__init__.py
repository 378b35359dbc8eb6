"""Read a portfolio's contract, which is a YAML file, into typed columns, rules and policies.

Tables, parsing, checks, features, replay and drift tests are all derived from these objects. The
code contains no name of a portfolio's column except the key, `loan_id`. docs/data-contract.md
explains every field.
"""

from loan_scoring.contract.business_dates import HISTORY, judge_batch_id
from loan_scoring.contract.columns import KEY, Column, Source
from loan_scoring.contract.contract import (
    Contract,
    outcome_rules_sha256,
    row_rules_sha256,
    target_sha256,
)
from loan_scoring.contract.files import load, names, read
from loan_scoring.contract.ingest_policies import IngestPolicy
from loan_scoring.contract.operation_policies import (
    MOST_KEEP_DAYS,
    Channel,
    MonitoringPolicy,
    PerformancePolicy,
    RetentionPolicy,
    RetrainingPolicy,
    Scenario,
    ServiceLevel,
)
from loan_scoring.contract.stage_policies import PARAMETERS, LeakPolicy

__all__ = [
    "HISTORY",
    "KEY",
    "MOST_KEEP_DAYS",
    "PARAMETERS",
    "Channel",
    "Column",
    "Contract",
    "IngestPolicy",
    "LeakPolicy",
    "MonitoringPolicy",
    "PerformancePolicy",
    "RetentionPolicy",
    "RetrainingPolicy",
    "Scenario",
    "ServiceLevel",
    "Source",
    "judge_batch_id",
    "load",
    "names",
    "outcome_rules_sha256",
    "read",
    "row_rules_sha256",
    "target_sha256",
]
