"""Record the files of a revision, and turn its line numbers into a file and a line of the file."""

from collections.abc import Sequence
from typing import Protocol

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.ingest.files.table import ReadFile


class HasFiles(Protocol):
    """A table that was read, with the files that it consists of."""

    @property
    def read_files(self) -> Sequence[ReadFile]:
        """The files in the order in which they were read."""
        ...


def record_files(session: Session, batch_id: str, revision: int, table: HasFiles) -> None:
    """Write the files of a landed revision, or of a file of outcomes, to table `batch_files`."""
    key = {"batch_id": batch_id, "revision": revision}
    database.execute(session.connection, "delete_batch_files", **key)
    for file in table.read_files:
        database.execute(
            session.connection,
            "insert_batch_file",
            **key,
            file=file.name,
            first_line=file.first_line,
            records=file.records,
            sha256=file.sha256,
        )


class FileLines:
    """The files of a revision. Its line numbers are counted on from file to file.

    Revisions that landed before table `batch_files` existed have no files here. They were one file
    each, so their line numbers are those of the file.
    """

    def __init__(self, session: Session, batch_id: str, revision: int) -> None:
        key = {"batch_id": batch_id, "revision": revision}
        self._files = database.rows(session.connection, "select_batch_files", **key)

    @property
    def is_several(self) -> bool:
        """Whether the revision landed from more than one file."""
        return len(self._files) > 1

    def place(self, line_number: int) -> tuple[str, int]:
        """Return the name of the file of a line number, and the line within the file."""
        found = [each for each in self._files if each["first_line"] <= line_number]
        if not found:
            return "", line_number
        return found[-1]["file"], line_number - found[-1]["first_line"] + 1

    def line_number(self, file: str, line: str) -> int | None:
        """Return the line number of a line of a file, or None if there is no such file or line.

        If the revision landed from one file, its name need not be given.
        """
        if not (line.isascii() and line.isdecimal()):
            return None
        found = [each for each in self._files if each["file"] == file or not self.is_several]
        if self.is_several and not found:
            return None
        number = int(line) + (found[0]["first_line"] - 1 if found else 0)
        return number if not found or self.place(number) == (found[0]["file"], int(line)) else None
