"""Define the paper form of an application: which columns it has, and where their boxes are."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from loan_scoring.contract.parts import ContractPart, Share, first_repeated

if TYPE_CHECKING:
    from loan_scoring.contract.columns import Column
    from loan_scoring.contract.contract import Contract

PAGE_MM = (210.0, 297.0)
"""Width and height of the form: A4."""
TOP_MM, BOTTOM_MM, SIDE_MM = 34.0, 274.0, 12.0
"""Boxes lie between these, because marks and the bar code of the form lie outside."""

Millimetres = Annotated[float, Field(ge=0, le=300)]


class ScanForm(ContractPart):
    """The form of one page that a branch fills in and scans."""

    columns: Annotated[list[str], Field(min_length=1)] | None = None
    """The columns of the form in order, `loan_id` among them. Without it: all columns of the file
    that are known at application. Columns that are not on the form are null.
    """
    labels: dict[str, str] = Field(default_factory=dict)
    """What is printed above the box of a column, where it is not the column's label."""
    boxes: dict[str, tuple[Millimetres, Millimetres, Millimetres, Millimetres]] = Field(
        default_factory=dict
    )
    """Places of boxes on a form of your own: left, top, width and height in millimetres from the
    upper left corner of the page. Either all columns have one or none. Without it the form has two
    columns of boxes.
    """
    check_digits: list[str] = Field(default_factory=list)
    """Columns whose value is followed by `-` and the two check digits of ISO 7064 MOD 97-10."""
    min_confidence: Share = 0.9
    """A field with a character that is read with less confidence waits for a person."""
    min_right: Share = 0.9
    """A classifier of pages comes into use if it is right on this share of each kind of page."""

    @field_validator("columns", "check_digits")
    @classmethod
    def _are_different(cls, names: list[str] | None) -> list[str] | None:
        repeated = first_repeated(names or [])
        if repeated is not None:
            raise ValueError(f"column '{repeated}' is listed twice")
        return names


def form_columns(contract: "Contract") -> "list[Column]":
    """Return the columns of the form, in order. Empty if the contract declares no form."""
    if contract.scan_form is None:
        return []
    if contract.scan_form.columns is not None:
        return [contract.by_name[name] for name in contract.scan_form.columns]
    return [
        column
        for column in contract.columns
        if column.is_known_at_application and column.sources and column.retired is None
    ]


def check_scan_form(contract: "Contract") -> None:
    """Check that the form fits the contract's columns and the page.

    Raises:
        ValueError: it does not. The message names the field.
    """
    form = contract.scan_form
    if form is None:
        return
    declared = {column.name: column for column in contract.columns}
    for field in ("columns", "labels", "boxes", "check_digits"):
        for name in getattr(form, field) or []:
            if name not in declared:
                raise ValueError(f"scan_form.{field}: no column of the file is named '{name}'")
    if len(contract.key.sources) != 1:
        raise ValueError("scan_form: loan_id needs one source, because it is one box of the form")
    if contract.ingest.manifest is not None:
        raise ValueError("scan_form: files of scans have no manifest; remove ingest.manifest")
    names = [column.name for column in form_columns(contract)]
    if contract.key.name not in names:
        raise ValueError("scan_form.columns: loan_id is missing; without it nothing can be scored")
    for name in names:
        if not declared[name].is_known_at_application:
            raise ValueError(f"scan_form.columns: {name} is not known at application")
    for field in ("labels", "boxes", "check_digits"):
        for name in getattr(form, field):
            if name not in names:
                raise ValueError(f"scan_form.{field}: {name} is not on the form")
    without = [name for name in names if name not in form.boxes]
    if form.boxes and without:
        raise ValueError(f"scan_form.boxes: {without[0]} has no box; give all columns one, or none")
    for name, (left, top, width, height) in form.boxes.items():
        if not (
            left >= SIDE_MM
            and left + width <= PAGE_MM[0] - SIDE_MM
            and top >= TOP_MM
            and top + height <= BOTTOM_MM
            and width >= 10
            and height >= 5
        ):
            raise ValueError(
                f"scan_form.boxes.{name}: a box is at least 10 x 5 mm, between {SIDE_MM:g} and "
                f"{PAGE_MM[0] - SIDE_MM:g} mm from the left and {TOP_MM:g} and {BOTTOM_MM:g} mm "
                "from the top"
            )
    most = MOST_BOXES
    if not form.boxes and len(names) > most:
        raise ValueError(
            f"scan_form.columns: {len(names)} columns, and the page has room for {most}; list "
            "those that the form needs"
        )


ROW_MM = 13.0
MOST_BOXES = 2 * int((BOTTOM_MM - TOP_MM) // ROW_MM)
"""Boxes that the form has room for, in two columns."""
