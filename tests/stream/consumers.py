"""Fork consumers from a process that has the libraries loaded. Each line of stdin starts one.

A line is a JSON list of the arguments of `loan-scoring`. The answer is the consumer's process id.
"""

import json
import os
import sys


def main() -> None:
    import loan_scoring.cli.stream
    import loan_scoring.models.scorer
    import loan_scoring.scoring.stream.service  # noqa: F401 - loaded for the children
    from loan_scoring.cli.main import main as run

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = run(json.loads(line))
            sys.stderr.flush()
            os._exit(code)
        print(child, flush=True)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
