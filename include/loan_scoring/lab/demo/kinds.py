"""The demonstrations: which monitors are to find a drift, which are not, and why."""

from dataclasses import dataclass

from loan_scoring.contract import Contract, Scenario

MONITORS = {
    "data": "Inputs, column by column",
    "joint": "All inputs together",
    "prediction": "Scores and decisions",
    "target": "Default rate",
    "model": "Performance of the model",
}
"""The drift kinds that tests are of, in words."""
SHORT = {
    "data": "inputs",
    "joint": "together",
    "prediction": "scores",
    "target": "default rate",
    "model": "performance",
}
AT_ONCE = ("data", "joint", "prediction")
"""Those that are known on the night itself; the others wait for outcomes."""


@dataclass(frozen=True)
class Demonstration:
    """A kind of drift to be shown, and what each monitor should make of it."""

    kind: str
    """The monitor that is to find it."""
    scenario_kinds: tuple[str, ...]
    title: str
    what: str
    why: str
    """Why it does."""
    quiet: dict[str, str]
    """The monitors that are to stay quiet, and why that is right."""
    follows: dict[str, str]
    """The monitors that may find it too, and why, where they do."""
    lesson: str


DEMONSTRATIONS = (
    Demonstration(
        "data",
        ("multiply", "move_level", "blank", "new_level"),
        "Data drift: other people apply",
        "The inputs move; which loans default is left as it was.",
        "The column that was touched is compared with the sample that the model was fitted on.",
        quiet={"target": "No outcome was touched: as many of these loans default as without it."},
        follows={
            "joint": "The column that moved is one of all inputs.",
            "prediction": "Scores, decisions and reasons are made of the inputs, and move along.",
            "model": "The model goes by inputs that moved, and the outcomes did not move along.",
        },
        lesson="It is seen the night itself, without any outcome. It says that the model is asked "
        "about other people than it learned from; whether it is wrong about them, outcomes tell.",
    ),
    Demonstration(
        "target",
        ("worsen_outcomes",),
        "Target drift: the same people default more often",
        "The share of loans that default moves; no input does.",
        "The outcomes of a night are compared with those of the model's hold-out.",
        quiet={
            "data": "No input was touched: the same people apply.",
            "joint": "No input was touched, so that no two of them belong together otherwise.",
            "prediction": "Scores are made of inputs alone, which are as they were.",
        },
        follows={
            "model": "The model foresees as many defaults as before, and those that fall on loans "
            "by chance cannot be ranked.",
        },
        lesson="Nothing of it can be seen on the night itself: inputs and scores look as ever. It "
        "takes outcomes, and they come later.",
    ),
    Demonstration(
        "model",
        ("shuffle_outcomes",),
        "Model drift: the score ranks worse",
        "As many loans default as without it, but others than the model expects; no input moves.",
        "The AUC of a night's scores, once outcomes are in, is compared with the hold-out's.",
        quiet={
            "data": "No input was touched: the same people apply.",
            "joint": "No input was touched, so that no two of them belong together otherwise.",
            "prediction": "Scores are made of inputs alone, which are as they were.",
            "target": "As many loans default as without it; only not those that the model expects.",
        },
        follows={},
        lesson="What the model learned holds no more, though applicants and default rate look as "
        "ever. Who watches inputs or default rates alone misses it.",
    ),
)


def scenario_of(contract: Contract, shown: Demonstration) -> tuple[str, Scenario] | None:
    """Return the first scenario of the contract that makes this drift, None where it has none."""
    for name, scenario in contract.replay.scenarios.items():
        if scenario.kind in shown.scenario_kinds:
            return name, scenario
    return None


def missing_scenario(contract: Contract, shown: Demonstration) -> str:
    """Return the sentence that says that the contract has no scenario for this drift."""
    return (
        f"{shown.kind} drift is not shown: the contract of {contract.portfolio} has no scenario of "
        f"kind {' or '.join(shown.scenario_kinds)}."
    )
