"""Define the drift demonstrations: which monitors should find the drift, which not, and why.

A monitor is the set of tests for one drift kind.
"""

from dataclasses import dataclass

from loan_scoring.contract import Contract, Scenario

MONITORS = {
    "data": "Inputs, column by column",
    "joint": "All inputs together",
    "prediction": "Scores and decisions",
    "target": "Default rate",
    "model": "Performance of the model",
}
"""Titles of the monitors, by drift kind."""
SHORT = {
    "data": "inputs",
    "joint": "together",
    "prediction": "scores",
    "target": "default rate",
    "model": "performance",
}
"""Short names of the monitors, by drift kind."""
AT_ONCE = ("data", "joint", "prediction")
"""The drift kinds that are tested as soon as a night is scored. The other kinds need outcomes."""


@dataclass(frozen=True)
class Demonstration:
    """A kind of drift to demonstrate, and what each monitor should do."""

    kind: str
    """The drift kind whose monitor should find the drift."""
    scenario_kinds: tuple[str, ...]
    title: str
    what: str
    """Sentence that says what the scenario changes and what the scenario does not change."""
    why: str
    """Sentence that says how the monitor of `kind` finds the drift."""
    quiet: dict[str, str]
    """Reasons why other monitors should find nothing, by drift kind of the monitor."""
    follows: dict[str, str]
    """Reasons why other monitors may also find drift, by drift kind of the monitor."""
    lesson: str


DEMONSTRATIONS = (
    Demonstration(
        "data",
        ("multiply", "move_level", "blank", "new_level"),
        "Data drift: other people apply",
        "The inputs change; which loans default does not.",
        "The changed column is compared with the sample on which the model was fitted.",
        quiet={"target": "No outcome was changed: as many of these loans default as before."},
        follows={
            "joint": "The changed column is one of the inputs.",
            "prediction": "Scores, decisions and reasons are computed from the inputs.",
            "model": "The inputs changed and the outcomes did not, so the scores rank worse.",
        },
        lesson="Data drift shows on the night itself, without any outcome. It says that the model "
        "scores other people than it was fitted on. Only outcomes show whether it is wrong about "
        "them.",
    ),
    Demonstration(
        "target",
        ("worsen_outcomes",),
        "Target drift: the same people default more often",
        "The share of loans that default changes; no input does.",
        "The outcomes of a night are compared with those of the model's hold-out.",
        quiet={
            "data": "No input was changed: the same people apply.",
            "joint": "No input was changed, so no relation between inputs was either.",
            "prediction": "Scores are computed from the inputs alone, which did not change.",
        },
        follows={
            "model": "The model predicts as many defaults as before, and the additional ones fall "
            "on random loans, which no score can rank.",
        },
        lesson="Target drift cannot be seen on the night itself: inputs and scores look as usual. "
        "It shows when outcomes arrive, which is later.",
    ),
    Demonstration(
        "model",
        ("shuffle_outcomes",),
        "Model drift: the score ranks worse",
        "As many loans default as before, but not those that the model expects; no input changes.",
        "The AUC of a night's scores is compared with the hold-out's, once outcomes are known.",
        quiet={
            "data": "No input was changed: the same people apply.",
            "joint": "No input was changed, so no relation between inputs was either.",
            "prediction": "Scores are computed from the inputs alone, which did not change.",
            "target": "As many loans default as before; only not those that the model expects.",
        },
        follows={},
        lesson="What the model learned is no longer true, although applicants and default rate "
        "look as usual. Monitoring only inputs or default rates misses it.",
    ),
)


def scenario_of(contract: Contract, demonstration: Demonstration) -> tuple[str, Scenario] | None:
    """Return the name and definition of the contract's first scenario that makes this drift.

    Return None if the contract has no such scenario.
    """
    for name, scenario in contract.replay.scenarios.items():
        if scenario.kind in demonstration.scenario_kinds:
            return name, scenario
    return None


def missing_scenario(contract: Contract, demonstration: Demonstration) -> str:
    """Return a sentence for the page: the contract has no scenario for this demonstration."""
    return (
        f"{demonstration.kind} drift is not shown: the contract of {contract.portfolio} has no "
        f"scenario of kind {' or '.join(demonstration.scenario_kinds)}."
    )
