"""Say what the header of a column suggests: a date, money, a code, a protected attribute."""

from collections.abc import Iterable, Sequence


def listed(words: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(words.split())


DATE = frozenset(["date", "dat", "dt", "birth", "issue", "issued", "datum", "d"])
MONEY = listed(
    """
    amount amt amnt balance bal income inc price value payment pymnt installment salary
    revenue cost upb gross prncp principal loan mortgage debt disbursement appv assets
    expenses turnover wage earnings limit lim gehalt betrag prin
    """
)
NO_MONEY = listed(
    """
    number num nr cnt count ratio rate pct percent id util date dt purpose type term status
    code months mths days years time times lines open
    """
)
CALENDAR = listed(
    """
    year yr fy
    """
)
"""Words of years, which grow from night to night if they are those of the calendar."""
COUNT = listed(
    """
    cnt num count number acc accts mths inq inquiries delinq derog times
    """
)
SHARE = frozenset(["pct", "percent", "percentage"])
CODE = listed(
    """
    zip zipcode post postal plz naics code cd msa sic state country region district branch
    type class ind flag sts status channel bank seller servicer
    """
)
ID = frozenset(["id", "nr", "key", "uuid", "guid", "ident", "identifier"])
PROTECTED = listed(
    """
    gender sex age race ethnic ethnicity marital married birth birthday nationality foreign
    foreigner religion disability disabled pregnant citizenship geschlecht alter
    """
)
PROXIES = listed(
    """
    zip zipcode postal plz region state addr district city msa
    """
)
"""Words of places, which may stand for the origin of the people who live there."""
LATER = (
    ("recoveries",), ("recovery",), ("recovered",), ("settlement",), ("hardship",), ("next",),
    ("last", "pymnt"), ("last", "payment"), ("last", "credit", "pull"), ("last", "fico"),
    ("total", "pymnt"), ("total", "rec"), ("out", "prncp"), ("chg", "off"), ("charged", "off"),
    ("balance", "gross"), ("plan", "start"), ("writeoff",), ("pymnt", "plan"),
    ("late", "fee"), ("late", "fees"),
)  # fmt: skip
"""Words that together sound like something that is known only after the decision."""
PRICING = (
    ("int", "rate"), ("int", "rt"), ("interest", "rate"), ("rate", "interest"), ("apr",),
    ("interest", "spread"), ("upfront",), ("sub", "grade"),
)  # fmt: skip
FUNDED = listed(
    """
    disbursement disbursed disbursal funded funding
    """
)
"""Words of what happens after the decision: the money is paid out."""
PRICING_ALONE = frozenset({"installment", "instalment", "grade", "payments", "rate"})
UNITS = {
    "months": "months", "mths": "months", "mo": "months", "month": "months", "years": "years",
    "yrs": "years", "age": "years", "days": "days",
}  # fmt: skip


def is_identifier(words: Sequence[str]) -> bool:
    """Return whether a header sounds like a number of a loan, a customer or an account."""
    return has(words, ID) or (len(words) > 1 and words[-1] in ("no", "number"))


def has(words: Sequence[str], hints: frozenset[str]) -> bool:
    """Return whether a header has one of the hints among its words."""
    return not hints.isdisjoint(words) or not hints.isdisjoint(w.removesuffix("s") for w in words)


def is_money(words: Sequence[str]) -> bool:
    """Return whether a header sounds like an amount of money."""
    return has(words, MONEY) and not has(words, NO_MONEY)


def is_calendar_year(words: Sequence[str], numbers: Iterable[float]) -> bool:
    """Return whether a column holds years of applications, which grow from night to night."""
    if CALENDAR.isdisjoint(words) or not {"birth", "built"}.isdisjoint(words):
        return False
    return all(1900 <= number <= 2100 for number in numbers)


def known_by_name(words: Sequence[str]) -> str:
    """Return when the values of a column are known, as far as its header says so."""
    if any(set(group) <= set(words) for group in LATER):
        return "outcome"
    if any(set(group) <= set(words) for group in PRICING):
        return "pricing"
    if has(words, FUNDED):
        return "pricing"
    return "pricing" if len(words) == 1 and words[0] in PRICING_ALONE else "application"


def unit_of(words: Sequence[str]) -> str | None:
    """Return the unit that a header names: its first word, or its last one if no number precedes.

    >>> unit_of(["mths", "since", "delinq"]), unit_of(["inq", "last", "6", "mths"])
    ('months', None)
    """
    if words[0] in UNITS:
        return UNITS[words[0]]
    is_span = len(words) > 1 and words[-2].isdecimal()
    return None if is_span else UNITS.get(words[-1])
