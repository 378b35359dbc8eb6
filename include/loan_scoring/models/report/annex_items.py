"""Fill the items of Annex IV from the registry, the contract and the records of the nights."""

from loan_scoring import __version__
from loan_scoring.counted import counted
from loan_scoring.models.card.blocks import Block, Text
from loan_scoring.models.promotion.signatures import ROLES
from loan_scoring.models.report.facts import Facts
from loan_scoring.models.report.words import (
    gap,
    number,
    policy_table,
    rate,
    signature_table,
    table,
    when,
)


def versions(facts: Facts) -> list[Block]:
    """Return this version and how it relates to earlier ones."""
    before = next((each["replaces"] for each in facts.verdicts[::-1] if each["replaces"]), None)
    return [
        Text(
            f"Version {facts.version} with {facts.personas['model_version']}, system loan-scoring "
            f"{facts.propensity['code_version']}; it was judged against "
            f"{before or 'no other version'}."
        )
    ]


def interaction(facts: Facts) -> list[Block]:
    """Return what the system reads from others and what it hands to them."""
    contract = facts.contract
    lookups = ", ".join(each.name for each in contract.lookups) or "none"
    return [
        Text(
            f"It reads files of {len(contract.sources)} columns of applications, files of outcomes "
            f"and look-ups ({lookups}); it writes scores, decisions and reasons to a Postgres "
            "database, from which other systems read. Airflow starts it. No other AI system is "
            "part of it."
        )
    ]


def runtime_versions(facts: Facts) -> list[Block]:
    """Return the release that fitted the model and the release that runs now."""
    fitted = facts.propensity["code_version"]
    if fitted == __version__:
        same = "the same release"
    else:
        same = f"loan-scoring {__version__}, which loads artifacts of earlier releases"
    return [Text(f"Fitted by loan-scoring {fitted}; this report was written by {same}.")]


def forms(facts: Facts) -> list[Block]:
    """Return the forms in which scores reach users."""
    return [
        Text(
            "It is put into service in the deployer's own installation: nightly batches by Airflow "
            f"({len(facts.runs):,} batches of this version on record), a command line, an HTTP API "
            "and pages in Airflow's UI."
        )
    ]


def resources(facts: Facts) -> list[Block]:
    """Return the time and memory that the stages needed, by records."""
    if not facts.stages:
        return [gap("a run of the stages, which records time and memory")]
    most = max(facts.stages, key=lambda each: each["peak_memory_bytes"])
    return [
        Text(
            f"The largest task on record is of stage {most['stage']}: "
            f"{most['peak_memory_bytes'] / 2**20:,.0f} MiB. No GPU is used."
        )
    ]


def interface(facts: Facts) -> list[Block]:
    """Return the pages that a user of the scores sees."""
    return [
        Text(
            f"Pages under /p/{facts.contract.portfolio} in Airflow's UI: batches, drift, alerts, "
            "models with signatures and rollback, and a desk at which a person sees an "
            "application, its score and its reasons, and decides."
        )
    ]


def development(facts: Facts) -> list[Block]:
    """Return the steps of development, and what third parties contribute."""
    algorithms = sorted({each.trial.algorithm for each in facts.trials})
    return [
        Text(
            "Steps: leak gate, cross-validated candidates, choice of the simplest within one "
            "standard error, fit, calibration if needed, one measurement on the hold-out, gates. "
            f"Candidates were of: {', '.join(algorithms) or 'not recorded'}. No pre-trained model "
            "is used; libraries of third parties are in the software bill of materials."
        )
    ]


def design(facts: Facts) -> list[Block]:
    """Return what the model computes and optimises, and the classification choices."""
    contract = facts.contract
    protected = ", ".join(contract.by_name[name].label for name in contract.protected_names)
    return [
        Text(
            f"{facts.propensity['algorithm']} computes the probability of default from "
            f"{len(facts.propensity['features'])} columns. It was chosen by cross-validated AUC. "
            f"Classes: approve below {contract.decision.approve_below:g}, decline from "
            f"{contract.decision.decline_from:g}, review between, refer where an exclusion holds. "
            f"Never read: {protected or 'no column is declared as protected'}."
        )
    ]


def architecture(facts: Facts) -> list[Block]:
    """Return how the parts build on each other, with the resources that they needed."""
    return [
        Text(
            "Ingest checks and stores applications; training fits and judges models; scoring "
            "writes scores by mini-batches; metrics compares each batch with the baseline; "
            f"{len(facts.stages)} stages are on record with time and memory."
        )
    ]


def data_governance(facts: Facts) -> list[Block]:
    """Return provenance, labels, cleaning and representativeness by records."""
    data = facts.propensity["training_data"]
    counts = data.get("applicants") or {}
    received = sum(each["received"] for each in facts.batches)
    quarantined = sum(each["quarantined"] for each in facts.batches)
    left_out = (data.get("cohorts") or {}).get("left_out_text")
    return [
        table(
            ["", ""],
            [
                ["batches read", f"{len(facts.batches):,}"],
                ["rows received", f"{received:,}"],
                ["rows quarantined", f"{quarantined:,}"],
                ["applicants of the period", f"{counts.get('applicants', 0):,}"],
                ["of these with a final outcome", f"{counts.get('labelled', 0):,}"],
                ["left out", left_out or "nothing"],
                ["label", facts.contract.target.label],
                ["groups measured for bias", f"{len(facts.evaluation.get('fairness', [])):,}"],
            ],
            {1},
        )
    ]


def oversight(facts: Facts) -> list[Block]:
    """Return how many applications people decide, and how often they overrule the model."""
    reviewed = sum(each["loans"] for each in facts.reviews)
    against = sum(each["loans"] for each in facts.reviews if each["override"] in ("up", "down"))
    people = [each for each in facts.verdicts if not each["decided_by"].startswith("policy:")]
    return [
        Text(
            f"On scores of this version people have decided {reviewed:,} applications, {against:,} "
            "of them against the model. Every application between the thresholds, and every "
            "referred one, waits for a person; up to four reasons are shown with a score. "
            f"{len(people)} of {len(facts.verdicts)} verdicts on this version are of people. A "
            "champion can be rolled back, and a batch withdrawn, at any time."
        )
    ]


def predetermined(facts: Facts) -> list[Block]:
    """Return when new models may come into use without a person, and what they must show."""
    contract = facts.contract
    return [
        Text(
            "A retraining with the same contract is a change that is determined beforehand. It "
            f"runs on the schedule {contract.schedules.train} and when drift lasts, and comes into "
            f"use in mode {contract.promotion.mode} if it passes these limits:"
        ),
        policy_table(contract.promotion, "promotion"),
        policy_table(contract.retraining, "retraining"),
    ]


def testing(facts: Facts) -> list[Block]:
    """Return the signatures under the test results, and which are missing."""
    signed = {each["signed_as"] for each in facts.signatures}
    gates = facts.evidence.get("gates", [])
    passed = sum(gate["passed"] for gate in gates)
    blocks: list[Block] = [Text(f"{passed} of {len(gates)} gates passed at the last judgement.")]
    if facts.signatures:
        blocks.append(signature_table(facts.signatures))
    return blocks + [gap(f"{role}, signed by a person") for role in ROLES if role not in signed]


def integrity(facts: Facts) -> list[Block]:
    """Return what protects the records against changes that nobody sees."""
    faults = facts.chain.sentences
    state = f"broken ({counted(len(faults), 'fault', 'faults')})" if faults else "whole"
    return [
        Text(
            "An artifact is loaded only if its SHA-256 is the recorded one. The audit log has "
            f"{counted(facts.chain.entries, 'entry', 'entries')}, each with the hash of the one "
            f"before: the chain is {state}. Stages, pages and analysts have different roles of the "
            "database."
        )
    ]


def control(facts: Facts) -> list[Block]:
    """Return accuracy over all and by group, with its limits."""
    metrics = facts.propensity["metrics"]
    low, high = (metrics.get("intervals") or {}).get("auc") or (None, None)
    rows = [
        [facts.contract.by_name[each["attribute"]].label, number(each["ratio"], 3)]
        for each in facts.evaluation.get("fairness", [])
    ]
    return [
        Text(
            f"Expected accuracy: AUC {number(metrics.get('auc'))} ({number(low)} to "
            f"{number(high)}) on {metrics.get('rows', 0):,} loans of the hold-out; precision of "
            f"decline {rate(metrics.get('precision'))}, recall {rate(metrics.get('recall'))}."
        ),
        table(["approval rates by", "lowest over highest"], rows, {1}),
        Text(
            f"Input data: {len(facts.contract.sources)} columns with types, levels and ranges; a "
            "row outside of them is quarantined and not scored."
        ),
    ]


def metrics(facts: Facts) -> list[Block]:
    """Return the metrics on record by which the model is judged."""
    measured = [
        name for name in facts.propensity["metrics"].get("intervals") or {} if name != "confidence"
    ]
    gates = ", ".join(gate["gate"] for gate in facts.evidence.get("gates", []))
    return [
        Text(
            f"Measured with intervals: {', '.join(measured) or 'none'}. Judged by the gates: "
            f"{gates or 'none on record'}."
        )
    ]


def standards(facts: Facts) -> list[Block]:
    """Return the standards that the contract names, or the gap."""
    named = facts.governance.standards
    if named:
        return [table(["standard or specification"], [[each] for each in named])]
    return [gap(f"the contract's field governance.standards, by {facts.contract.owner}")]


def post_market(facts: Facts) -> list[Block]:
    """Return the plan by which performance in use is followed, and how far it was carried out."""
    contract = facts.contract
    realised = [each for each in facts.runs if each["realised_auc"] is not None]
    level = contract.service_level
    last = when(facts.runs[-1]["published_at"]) if facts.runs else "never"
    blocks: list[Block] = [
        Text(
            f"Plan: each night is compared with the baseline (false discovery rate "
            f"{contract.monitoring.q:g}); performance is estimated the same night, and realised "
            f"once {rate(contract.performance.mature_share, 0)} of the outcomes are in. Scores are "
            f"visible within {level.scored_within_minutes:g} minutes on "
            f"{rate(level.nights_on_time)} of nights. Rows of loans are kept "
            + (
                f"{contract.retention.keep_days:,} days."
                if contract.retention
                else "without an end."
            )
        ),
        Text(
            f"Carried out: {counted(len(facts.runs), 'batch', 'batches')} compared, "
            f"{len(realised):,} with outcomes, {counted(len(facts.alerts), 'alert')}, "
            f"{counted(len(facts.incidents), 'entry', 'entries')} of the incident log, "
            f"the last batch scored {last}."
        ),
    ]
    if not contract.notifications:
        blocks.append(gap(f"a channel that alerts are sent to, notifications, by {contract.owner}"))
    return blocks
