# SPDX-License-Identifier: Apache-2.0
"""A connection in a transaction, as the repositories use it. What they ask is not its business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, Executable, Select, Table, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from glancekit.plugin import Invalid, MetadataError
from glancekit_sql_metadata.dialect import Dialect

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Session:
    """Executes statements and turns the database's errors into ours."""

    def __init__(self, connection: Connection, dialect: Dialect, *, read_only: bool) -> None:
        self.dialect = dialect
        self.read_only = read_only
        self._connection = connection
        self._failure: MetadataError | None = None
        self._held: set[str] = set()

    def execute(
        self, statement: Executable, parameters: Parameters | None = None
    ) -> CursorResult[Any]:
        """Ask something.

        :raises IntegrityError: as SQLAlchemy has it; only the asker knows what it means.
        :raises Invalid: when a value is one that no database can keep.
        """
        self.require_sound()
        try:
            return self._connection.execute(statement, parameters)
        except IntegrityError:
            raise
        except DataError as error:
            raise Invalid(f"The database cannot keep a value: {error.orig}") from error
        except DBAPIError as error:
            self._failure = self.dialect.translate(error)
            raise self._failure from error
        except UnicodeEncodeError as error:
            raise Invalid("A text has characters that are no Unicode (lone surrogates)") from error
        except OverflowError as error:
            raise Invalid("A number does not fit into 64 bits") from error

    def write(
        self, statement: Executable, parameters: Parameters | None = None
    ) -> CursorResult[Any]:
        """Change something.

        :raises MetadataError: in a read-only unit of work.
        """
        self.require_writing()
        return self.execute(statement, parameters)

    def hold(self, lock: Select[Any], image_id: str) -> None:
        """Keep others from changing an image until the end, where the database can do that.

        :param lock: finds the image by the parameter ``id_``.
        """
        locking = self.dialect.locking(lock)
        if locking is lock or image_id in self._held:
            return
        if self.execute(locking, {"id_": image_id}).first() is not None:
            self._held.add(image_id)

    def require_writing(self) -> None:
        """Refuse to change anything in what only reads.

        :raises MetadataError: in a read-only unit of work.
        """
        if self.read_only:
            raise MetadataError("A unit of work was asked to write that is read-only or over")

    def insert(self, table: Table, values: Mapping[str, Any]) -> CursorResult[Any] | None:
        """Insert a row; None when its key is taken. The transaction goes on either way."""
        try:
            inserted = self.write(self.dialect.insert_new(table), values)
        except IntegrityError:
            return None
        return inserted if inserted.rowcount == 1 else None

    def write_unless_taken(self, statement: Executable, parameters: Parameters) -> bool:
        """Change keys; False when one is taken. The transaction goes on either way."""
        if self.read_only or not self.dialect.aborts_on_error:
            try:
                self.write(statement, parameters)
            except IntegrityError:
                return False
            return True
        self._command("SAVEPOINT keys")
        try:
            self.write(statement, parameters)
        except IntegrityError:
            self._command("ROLLBACK TO SAVEPOINT keys")
            return False
        self._command("RELEASE SAVEPOINT keys")
        return True

    def require_sound(self) -> None:
        """Refuse to go on after a failure.

        Some databases have rolled back by then, and would take what follows for a new transaction.

        :raises MetadataError: what the failure was.
        """
        if self._failure is not None:
            raise self._failure

    def _command(self, command: str) -> None:
        self.execute(text(command))
