"""Fork consumers from a process that has libraries and models loaded. A line of stdin starts one.

    python consumers.py PORTFOLIO DATABASE

A line is a JSON list of the arguments of `loan-scoring`. The answer is the consumer's process id.
"""

import json
import os
import sys


def main(portfolio: str, url: str) -> None:
    import faststream.confluent
    import faststream.redis  # noqa: F401 - loaded for the children

    import loan_scoring.scoring.stream.service  # noqa: F401 - loaded for the children
    from loan_scoring.cli.main import main as run
    from loan_scoring.database.session import open_session
    from loan_scoring.scoring.request import CHAMPION, load_pair

    with open_session(portfolio, url) as session:
        load_pair(session, CHAMPION)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = run(json.loads(line))
            sys.stderr.flush()
            os._exit(code)
        print(child, flush=True)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main(*sys.argv[1:])
