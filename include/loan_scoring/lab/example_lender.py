"""Write the files of an invented consumer lender, which docs/bring-your-own-loans.md works with.

    .venv/bin/python -m loan_scoring.lab.example_lender FOLDER

The lender and its customers are invented. The files are written as such lenders write theirs:
states instead of outcomes, `Sep-2023` for a month, `13.5%`, `$12,500.00`, `10+ years`, and columns
that are known only afterwards.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

SEED = 20240108
HISTORY_LOANS = 6000
NIGHT_LOANS = 400
NIGHTS = ("2024-01-08", "2024-01-09")
BOOKS = ("2024-07-31", "2025-04-30")
BROKEN_ROW = 6
"""A row of the first night, counted from 0, without an amount."""
FIRST_YEAR = 2021
MONTHS = 35
"""Months in which the loans of the history were paid out: to November 2023."""
NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
PURPOSES = ["debt_consolidation", "car", "home_improvement", "medical", "other"]
HOMES = ["RENT", "MORTGAGE", "OWN"]
JOBS = ["n/a", "< 1 year", "1 year", *(f"{years} years" for years in range(2, 10)), "10+ years"]

Floats = NDArray[np.float64]


@dataclass
class Loans:
    """Invented loans: their applications as texts, and what became of them, a row each."""

    applications: dict[str, list[str]]
    rates: list[str]
    defaults: NDArray[np.bool_]
    ends: NDArray[np.int64]
    """The month of the last payment, counted from year 0. A default ends within the term."""
    recovered: Floats

    def book(self, month: int) -> dict[str, list[str]]:
        """Return the columns that are known at the end of a month, by name."""
        states, dates, recoveries = [], [], []
        for place, default in enumerate(self.defaults):
            # A loan is charged off four months after the last payment, and late before that.
            since = month - int(self.ends[place])
            is_written_off = bool(default) and since >= 4
            if default:
                states.append("Charged Off" if since >= 4 else "Late" if since > 0 else "Current")
            else:
                states.append("Fully Paid" if since >= 0 else "Current")
            dates.append(_month(min(month, int(self.ends[place]))))
            amount = self.recovered[place] if is_written_off else 0.0
            recoveries.append(f"${amount:,.2f}")
        return {"loan_status": states, "last_pymnt_d": dates, "recoveries": recoveries}


def write_files(folder: Path) -> list[Path]:
    """Write the files of the lender. Return their paths.

    `loans.csv` has all loans to November 2023, with what became of each. `applications/DATE.csv`
    has the applications of a day. `books/DATE.csv` says at the end of a month how the loans of
    those days stand. Two calls write the same bytes.
    """
    draw = np.random.default_rng(SEED)
    start = FIRST_YEAR * 12
    months = np.sort(draw.integers(start, start + MONTHS, HISTORY_LOANS))
    history = _draw(draw, 10_000, months)
    later = {"int_rate": history.rates} | history.book(start + MONTHS)
    written = [_write(folder / "loans.csv", history.applications | later)]
    nights: dict[str, Loans] = {}
    for place, night in enumerate(NIGHTS):
        month = np.full(NIGHT_LOANS, _number(night))
        nights[night] = _draw(draw, 20_000 + place * NIGHT_LOANS, month)
        if place == 0:
            nights[night].applications["loan_amnt"][BROKEN_ROW] = "to be agreed"
        path = folder / "applications" / f"{night}.csv"
        written.append(_write(path, nights[night].applications))
    for date in BOOKS:
        columns: dict[str, list[str]] = {}
        for loans in nights.values():
            rows = {"id": loans.applications["id"]} | loans.book(_number(date))
            columns = {name: columns.get(name, []) + texts for name, texts in rows.items()}
        written.append(_write(folder / "books" / f"{date}.csv", columns))
    return written


def _draw(draw: np.random.Generator, first: int, months: NDArray[np.int64]) -> Loans:
    rows = len(months)
    score = np.clip(np.round(draw.normal(690, 45, rows)), 520, 850)
    income = np.round(np.exp(draw.normal(10.9, 0.45, rows)), -2)
    amount = np.round(np.clip(income * draw.uniform(0.03, 0.45, rows), 1000, 40_000) / 25) * 25
    terms = draw.choice([6, 12], rows, p=[0.45, 0.55])
    inquiries = draw.poisson(0.8, rows)
    job = draw.choice(len(JOBS), rows, p=[0.06, *[0.06] * 10, 0.34])
    home = draw.choice(3, rows, p=[0.42, 0.46, 0.12])
    purpose = draw.choice(5, rows, p=[0.52, 0.14, 0.14, 0.08, 0.12])
    credit_months = draw.integers(18, 360, rows)
    log_odds = (
        -2.2 - 0.022 * (score - 690) + 3.2 * (amount / income - 0.24) + 0.5 * (terms == 12)
        + 0.3 * inquiries + 0.7 * (job == 0) - 0.25 * (job == len(JOBS) - 1)
        + np.array([0.2, -0.2, -0.1])[home] + np.array([0, -0.3, 0, 0.6, 0.2])[purpose]
        - 0.002 * (credit_months - 180)
    )  # fmt: skip
    defaults = draw.random(rows) < expit(log_odds)
    lasts = np.where(defaults, np.ceil(draw.random(rows) * (terms - 1)).astype(int), terms)
    rate = np.clip(6 + 5 * expit(log_odds) * 4 + draw.normal(0, 1.2, rows), 5.5, 31)
    ages = np.clip(np.round(draw.normal(41, 12, rows)), 18, 84).astype(int)
    has_inquiries = draw.random(rows) > 0.02
    applications = {
        "id": [str(first + place) for place in range(rows)],
        "issue_d": [_month(month) for month in months],
        "loan_amnt": [f"${value:,.2f}" for value in amount],
        "term": [f"{months_of_term:>3} months" for months_of_term in terms],
        "purpose": [PURPOSES[place] for place in purpose],
        "annual_inc": [f"${value:,.2f}" for value in income],
        "emp_length": [JOBS[place] for place in job],
        "home_ownership": [HOMES[place] for place in home],
        "earliest_cr_line": [_month(at) for at in months - credit_months],
        "bureau_score": [f"{value:.0f}" for value in score],
        "inq_last_6mths": [
            str(count) if known else "99"
            for count, known in zip(inquiries, has_inquiries, strict=True)
        ],
        "borrower_age": [str(age) for age in ages],
    }
    rates = [f"{value:.1f}%" for value in rate]
    return Loans(applications, rates, defaults, months + lasts, amount * draw.beta(2, 5, rows))


def _month(number: int) -> str:
    """Return a month, counted from year 0, as `Sep-2023`."""
    return f"{NAMES[number % 12]}-{number // 12}"


def _number(date: str) -> int:
    """Return the month of a date, counted from year 0."""
    return int(date[:4]) * 12 + int(date[5:7]) - 1


def _write(path: Path, columns: dict[str, list[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files into the folder that is named, and print what was written."""
    parser = argparse.ArgumentParser(description="Write the files of an invented lender.")
    parser.add_argument("folder", type=Path)
    for path in write_files(parser.parse_args(arguments).folder):
        print(path)  # noqa: T201 - commands print their result


if __name__ == "__main__":
    main()
