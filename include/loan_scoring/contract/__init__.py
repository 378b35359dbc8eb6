"""Read a portfolio's contract, which is a YAML file, into typed columns, rules and policies.

Tables, parsing, checks, features, replay and drift tests are all derived from these objects. The
code contains no name of a portfolio's column except the key, `loan_id`. docs/data-contract.md
explains every field.
"""

from loan_scoring.contract.business_dates import HISTORY, judge_batch_id
from loan_scoring.contract.columns import KEY, Column
from loan_scoring.contract.contract import Contract
from loan_scoring.contract.file_formats import FileFormat, Source
from loan_scoring.contract.files import load, load_all, names, read
from loan_scoring.contract.governance import Governance
from loan_scoring.contract.ingest_policies import IngestPolicy
from loan_scoring.contract.lookups import FeatureColumn, Lookup
from loan_scoring.contract.notifications import Channel
from loan_scoring.contract.operation_policies import (
    MOST_KEEP_DAYS,
    MonitoringPolicy,
    PerformancePolicy,
    RetentionPolicy,
    RetrainingPolicy,
    ServiceLevel,
)
from loan_scoring.contract.outcomes import (
    AmountSource,
    DateSource,
    OutcomesFormat,
    Target,
    outcome_rules_sha256,
    same_text,
    target_sha256,
)
from loan_scoring.contract.replay_policies import Scenario
from loan_scoring.contract.rules_hash import row_rules_sha256
from loan_scoring.contract.stage_policies import KEEPS_DIRECTIONS, PARAMETERS, LeakPolicy
from loan_scoring.contract.trained import changed_features, derivation, under_model

__all__ = [
    "HISTORY",
    "KEEPS_DIRECTIONS",
    "KEY",
    "MOST_KEEP_DAYS",
    "PARAMETERS",
    "AmountSource",
    "Channel",
    "Column",
    "Contract",
    "DateSource",
    "FeatureColumn",
    "FileFormat",
    "Governance",
    "IngestPolicy",
    "LeakPolicy",
    "Lookup",
    "MonitoringPolicy",
    "OutcomesFormat",
    "PerformancePolicy",
    "RetentionPolicy",
    "RetrainingPolicy",
    "Scenario",
    "ServiceLevel",
    "Source",
    "Target",
    "changed_features",
    "derivation",
    "judge_batch_id",
    "load",
    "load_all",
    "names",
    "outcome_rules_sha256",
    "read",
    "row_rules_sha256",
    "same_text",
    "target_sha256",
    "under_model",
]
