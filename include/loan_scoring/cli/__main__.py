"""`python -m loan_scoring.cli`."""

import sys

from loan_scoring.cli import main

sys.exit(main())
