"""The desk and the models in a real browser, against a running Airflow with replayed nights."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from shots import SIZES, THEMES, Watched

from loan_scoring import promotion, registry
from loan_scoring.session import Session
