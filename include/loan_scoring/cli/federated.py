"""Define and run `loan-scoring federated`."""

import argparse
import json
from pathlib import Path
from typing import Any

from loan_scoring.cli.common import account_name, add_command, session_of
from loan_scoring.errors import StateError

ALGORITHMS = ("xgboost", "logistic_regression", "scorecard")


def add_federated_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command `federated` and its subcommands to the command line."""
    help_ = "train one model at several sites that share no rows"
    inner = commands.add_parser("federated", help=help_, description=help_).add_subparsers(
        required=True, metavar="COMMAND"
    )
    run = add_command(inner, "run", _run, "train, compare, and register a challenger", common)
    run.add_argument(
        "--local", action="store_true", help="the sites are levels of a column of this database"
    )
    run.add_argument("--processes", action="store_true", help="each site is a SuperNode of its own")
    run.add_argument("--algorithm", choices=ALGORITHMS, help="default: the contract's")
    run.add_argument("--rounds", type=int, help="default: the contract's")
    run.add_argument("--secure", action="store_true", help="secure aggregation (SecAgg+)")
    run.add_argument("--epsilon", type=float, help="differential privacy of each loan")
    run.add_argument("--proximal", type=float, help="linear models: default: the contract's")
    run.add_argument("--out", type=Path, metavar="FILE", help="write the result as JSON")
    run.add_argument("--register", action="store_true", help="register the model as a challenger")
    register = add_command(
        inner, "register", _register, "register the result of a run as a challenger", common
    )
    register.add_argument("result", type=Path, metavar="FILE", help="result of a run, JSON")
    for each in (run, register):
        each.add_argument("--shadow", action="store_true", help="put it into shadow at once")


def _run(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.federated.model import check_directions
    from loan_scoring.federated.register import compare_result
    from loan_scoring.federated.run import run_local
    from loan_scoring.local.postgres import portfolio_database_url

    if not options.local:
        raise StateError(
            "give --local to try federated training on this database; sites with databases of "
            "their own are started as docs/federated.md says"
        )
    if options.out is not None and not options.out.parent.is_dir():
        raise StateError(f"there is no folder {options.out.parent} for {options.out.name}; make it")
    with session_of(options) as session:
        policy = session.contract.federated
        if policy is not None and (options.register or options.shadow):
            check_directions(session.contract, options.algorithm or policy.algorithm)
        result = run_local(
            session.contract,
            portfolio_database_url(options.database or _set_url()),
            processes=options.processes,
            algorithm=options.algorithm,
            rounds=options.rounds,
            secure_aggregation=options.secure or None,
            epsilon=options.epsilon,
            proximal=options.proximal,
        )
        if options.out is not None:
            options.out.write_text(json.dumps(result))
        comparison = compare_result(session, result)
        return _finish(options, session, result, comparison, options.register or options.shadow)


def _register(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.federated.register import compare_result

    try:
        result = json.loads(options.result.read_text())
        result["model"], result["scheme"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"{options.result} is not the result of a federated run ({error}); give the file of "
            "loan-scoring federated run --out FILE"
        ) from error
    with session_of(options) as session:
        return _finish(options, session, result, compare_result(session, result), True)


def _finish(
    options: argparse.Namespace, session: Any, result: dict[str, Any], comparison: dict[str, Any],
    is_registered: bool,
) -> dict[str, Any]:  # fmt: skip
    from loan_scoring.federated.compare import text_of

    lines, found = [text_of(result, comparison)], {"comparison": comparison}
    if is_registered:
        from loan_scoring.federated.register import register_result
        from loan_scoring.models.card.content import write_card
        from loan_scoring.models.promotion.shadows import begin_shadow

        versions = register_result(session, result, comparison, account_name())
        write_card(session, versions["propensity"])
        lines.append(f"registered {versions['propensity']} with {versions['personas']}")
        if options.shadow:
            begin_shadow(session, versions, account_name())
            lines.append(f"{versions['propensity']} is in shadow beside the champion")
        found["versions"] = versions
    described = {name: value for name, value in result.items() if name not in ("model", "scheme")}
    return {"result": described} | found | {"text": "\n".join(lines)}


def _set_url() -> str | None:
    from loan_scoring import settings

    return settings.database_url()
