"""Let `python -m loan_scoring.cli` run the command `loan-scoring`."""

import sys

from loan_scoring.cli.main import main

sys.exit(main())
