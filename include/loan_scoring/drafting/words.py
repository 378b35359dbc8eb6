"""Make names and readable labels from the headers of a file."""

import re
import unicodedata
from collections.abc import Iterable

from loan_scoring.contract import KEY
from loan_scoring.contract.columns import NAME, RESERVED
from loan_scoring.drafting.hints import listed

ABBREVIATIONS = {
    "acc": "account", "acct": "account", "accts": "accounts", "addr": "address", "amnt": "amount",
    "amrtzn": "amortization", "amt": "amount", "appv": "approved", "avg": "average",
    "bal": "balance", "bc": "bankcard", "borr": "borrowers", "cd": "code", "chg": "charged",
    "cnt": "number of", "coll": "collections", "cr": "credit", "cred": "credit", "cur": "current",
    "d": "date", "delinq": "delinquencies", "desc": "description", "dlq": "delinquency",
    "dlqin": "delinquency", "dt": "date", "emp": "employment", "gr": "gross", "hi": "high",
    "il": "instalment loans", "inc": "income", "ind": "indicator", "inq": "inquiries",
    "int": "interest", "inv": "investors", "lim": "limit", "matr": "maturity", "max": "highest",
    "min": "lowest", "mo": "months", "mort": "mortgage", "mths": "months", "nr": "number",
    "num": "number of", "occpy": "occupancy", "op": "open", "orig": "original", "pct": "percent",
    "pnlty": "penalty", "ppmt": "prepayment", "ppty": "property", "prin": "principal",
    "prncp": "principal", "prop": "property", "pub": "public", "pymnt": "payment", "rcnt": "recent",
    "rec": "record", "rev": "revolving", "revol": "revolving", "rt": "rate", "rtl": "retail",
    "sec": "secondary", "sin": "since", "st": "state", "sts": "status", "tl": "trades",
    "tot": "total", "util": "utilization", "val": "value", "yr": "year", "yrs": "years",
    "zip": "ZIP code", "zipcode": "ZIP code",
}  # fmt: skip
"""What common abbreviations of lenders' files mean, for labels."""

ACRONYMS = listed(
    """
    apr cltv dti fico harp hmda id ltv mi mis msa naics sba sic upb url
    """
)
"""Words that a label shows in capitals."""

KEPT_BY_POSTGRES = listed(
    """
    all analyse analyze and any array as asc asymmetric both case cast check collate column
    constraint create current_date current_role current_time current_timestamp current_user
    default deferrable desc distinct do else end except false fetch for foreign from grant
    group having in initially intersect into lateral leading limit localtime localtimestamp
    not null offset on only or order placing primary references returning select
    session_user some symmetric system_user table then to trailing true union unique user
    using variadic when where window with
    """
)
"""Words that must stand in quotes in SQL, so that they would be awkward names of columns."""

SUFFIXES = {"boolean": "flag", "date": "date", "datetime": "time", "category": "code"}


def words_of(header: str | int) -> list[str]:
    """Return the words of a header in lower case.

    >>> words_of("NumberOfTime30-59Days"), words_of("delinq_2yrs")
    (['number', 'of', 'time', '30-59', 'days'], ['delinq', '2', 'yrs'])
    """
    return [word.lower() for word in _split(str(header))] or ["column"]


def label_of(header: str | int, is_shouted: bool = False) -> str:
    """Return a header in readable words.

    Args:
        header: header, or the position of a column without one.
        is_shouted: whether all headers of the file are in capitals, so that capitals mean nothing.

    >>> label_of("mths_since_last_delinq"), label_of("ApprovalDate"), label_of("orig_int_rt")
    ('Months since last delinquencies', 'Approval date', 'Original interest rate')
    """
    if isinstance(header, int):
        return f"Column {header}"
    shown: list[str] = []
    for word in _split(header):
        low = word.lower()
        if low == "no" and not shown:
            shown.append("number of")
        elif low == "rec" and shown[-1:] == ["total"]:
            shown.append("received")
        elif low in ABBREVIATIONS:
            shown.append(ABBREVIATIONS[low])
        elif low in ACRONYMS or (not is_shouted and len(word) > 1 and word.isupper()):
            shown.append(word.upper())
        else:
            shown.append(low)
    text = " ".join(shown).replace("number of of", "number of").replace("code code", "code")
    return text[:1].upper() + text[1:] if text else header.strip() or "Column"


def names_of(headers: Iterable[str | int], types: dict[str | int, str]) -> dict[str | int, str]:
    """Return a name for each header: snake_case, unique, and free in tables and in SQL.

    Args:
        headers: headers of the file, in order.
        types: type of the column of each header.
    """
    names: dict[str | int, str] = {}
    taken = {KEY}
    for header in headers:
        name = _snake(header)
        if name in RESERVED or name in KEPT_BY_POSTGRES or name == KEY:
            name = f"{name}_{SUFFIXES.get(types.get(header, ''), 'value')}"
        name, count = name[:50].rstrip("_"), 2
        first = name
        while name in taken or not NAME.fullmatch(name):
            name = f"{first[:46]}_{count}"
            count += 1
        taken.add(name)
        names[header] = name
    return names


def _snake(header: str | int) -> str:
    if isinstance(header, int):
        return f"column_{header}"
    plain = unicodedata.normalize("NFKD", header.replace("ß", "ss"))
    plain = "".join(each for each in plain if not unicodedata.combining(each))
    words = "_".join(_split(plain)).encode("ascii", "replace").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    return name if name[:1].isalpha() else f"column_{name}".rstrip("_")


def _split(header: str) -> list[str]:
    """Split a header at case changes, punctuation, and before and after numbers."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", header)
    text = re.sub(r"(?<=[A-Za-z])(?=[0-9]{1,2}[A-Za-z])|(?<=[0-9])(?=[A-Za-z]{3})", " ", text)
    text = re.sub(r"(?<=[a-z]{3})(?=[0-9]{2}|[0-9][A-Za-z-])", " ", text)
    return [word.strip("-") for word in re.split(r"[^\w-]+|_", text) if word.strip("-")]
