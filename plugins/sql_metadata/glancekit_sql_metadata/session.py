# SPDX-License-Identifier: Apache-2.0
"""A connection in a transaction, as the repositories use it. What they ask is not its business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.exc import DBAPIError, IntegrityError

from glancekit.plugin import Invalid, MetadataError
from glancekit_sql_metadata.dialect import Dialect

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Session:
    """Executes statements and turns the database's errors into ours."""

    def __init__(self, connection: Connection, dialect: Dialect, *, read_only: bool) -> None:
        self.dialect = dialect
        self.read_only = read_only
        self._connection = connection

    def execute(
        self, statement: Executable, parameters: Parameters | None = None
    ) -> CursorResult[Any]:
        """Ask something.

        :raises IntegrityError: as SQLAlchemy has it; only the asker knows what it means.
        :raises Invalid: when a value is one that no database can keep.
        """
        try:
            return self._connection.execute(statement, parameters)
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise self.dialect.translate(error) from error
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
        if self.read_only:
            raise MetadataError("A unit of work was asked to write that is read-only or over")
        return self.execute(statement, parameters)
