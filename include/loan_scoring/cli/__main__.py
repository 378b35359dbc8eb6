"""Run the command line `loan-scoring` for `python -m loan_scoring.cli`."""

import sys

from loan_scoring.cli.main import main

sys.exit(main())
