"""Run the targets `run`, `up` and `down` of the Makefile.

The Makefile calls `python -m loan_scoring.cli.run` with `run PORTFOLIO`, `up` or `down`.
"""

import sys

from loan_scoring.errors import LoanScoringError


def main() -> int:
    """Run the main job (`run`), start the services (`up`) or stop the services (`down`).

    Return the exit code, which is 0 on success, 1 after an error, 2 after a wrong argument and 130
    after Ctrl-C. One line on stderr describes the error.
    """
    command, *rest = sys.argv[1:] or [""]
    try:
        if command == "run" and len(rest) == 1:
            from loan_scoring.lab.main_job import MainJob, run_main_job

            print(run_main_job(MainJob(portfolio=rest[0])))  # noqa: T201 - commands print their result
        elif command == "up" and not rest:
            from loan_scoring.local.up import start_services

            print(start_services())  # noqa: T201
        elif command == "down" and not rest:
            from loan_scoring.local.up import stop_services

            print(stop_services())  # noqa: T201
        else:
            usage = "usage: python -m loan_scoring.cli.run run PORTFOLIO | up | down"
            print(usage, file=sys.stderr)  # noqa: T201
            return 2
    except LoanScoringError as error:
        print(f"loan-scoring: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("loan-scoring: interrupted; run it again to continue", file=sys.stderr)  # noqa: T201
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
