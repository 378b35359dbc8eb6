"""What a person fills in: fields of a page's form or query, empty ones as None."""

from typing import Annotated

from fastapi import Depends, HTTPException, Request

from loan_scoring.scoring.fields import is_storable

LONGEST_COMMENT = 2000


async def fields(request: Request) -> dict[str, str]:
    """Return the fields of a form; of a field that stands twice the last."""
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


Form = Annotated[dict[str, str], Depends(fields)]


def required(form: dict[str, str], name: str, longest: int = LONGEST_COMMENT) -> str:
    """Return a field that has to be filled in.

    Raises:
        HTTPException: it is empty, too long, or no text that can be kept.
    """
    value = form.get(name, "").strip()
    if not value:
        raise HTTPException(422, f"{name} is empty: fill it in, then send the form again")
    if len(value) > longest or not is_storable(value):
        raise HTTPException(422, f"{name} is longer than {longest} characters, or no plain text")
    return value


def storable(text: str | None, name: str) -> str | None:
    """Return a field of a query, None where it is empty.

    Raises:
        HTTPException: it is no text that can be asked for.
    """
    if text and not is_storable(text):
        raise HTTPException(422, f"{name} is no plain text")
    return text or None


def share(text: str | None, name: str) -> float | None:
    """Return per cent as a share of 1, None where the field is empty.

    Raises:
        HTTPException: it is no number from 0 to 100.
    """
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise HTTPException(422, f"{name} is no number from 0 to 100")
    return value / 100


def choice(text: str | None, name: str, values: tuple[str, ...]) -> str | None:
    """Return one of some words, None where the field is empty.

    Raises:
        HTTPException: it is none of them.
    """
    if not text:
        return None
    if text not in values:
        raise HTTPException(422, f"{name} is none of {', '.join(values)}")
    return text
