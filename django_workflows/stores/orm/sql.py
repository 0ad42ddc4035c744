"""How the rows of one table are written: whole, in part, and many at once."""

# ruff: noqa: S608  What is put together are names of tables and columns; values are parameters.

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field

from django_workflows.core.records import Record
from django_workflows.fields import TypedJSONField
from django_workflows.stores.orm.statements import IF_HIT, Statement
from django_workflows.stores.orm.values import Columns, converter, reader, writer

if TYPE_CHECKING:
    from django_workflows.models import Mirror

T = TypeVar("T")

#: How many rows one statement adds at most; and how many it updates, each of which is compared
#: with all of them.
MOST_ROWS, MOST_CASES = 500, 100

#: How many rows PostgreSQL is given one by one, and more of them as arrays: each count is another
#: text to be prepared, but arrays take their time to be made.
FEW_ROWS = 8

#: How many choices of columns a table keeps ready.
MOST_CHOICES = 500


class Table:
    """Says how the records of one model are written, their values prepared by its fields."""

    def __init__(self, model: type[Mirror], connection: BaseDatabaseWrapper) -> None:
        quote = connection.ops.quote_name
        self.name = quote(model._meta.db_table)
        self.fields = model.mirrored()
        self.columns = {name: quote(field.column or name) for name, field in self.fields.items()}
        self.is_postgres = connection.vendor == "postgresql"
        self.kinds = {name: _kind(field, connection) for name, field in self.fields.items()}
        self._writers = {name: writer(field, connection) for name, field in self.fields.items()}
        self._converters = [(name, converter(field)) for name, field in self.fields.items()]
        self._read = reader(list(self.fields))
        self._known = [
            (name, isinstance(field, TypedJSONField)) for name, field in self.fields.items()
        ]
        # A checkpoint writes the same columns as most others.
        self._of = lru_cache(MOST_CHOICES)(self._choose)

    def differing(self, record: Record, previous: Record | None) -> list[str]:
        """Return the names of the fields in which ``record`` differs from ``previous``."""
        if previous is None:
            return list(self.fields)
        known = zip(self._known, self._read(record), self._read(previous), strict=True)
        return [
            name
            for (name, is_typed), now, before in known
            # Of stored values, equal ones may differ in type: 1, 1.0 and True.
            if now is not before and (is_typed or now != before)
        ]

    @property
    def listed(self) -> str:
        """Name all columns, in the order in which values_of() takes them."""
        return ", ".join(self.columns.values())

    def values_of(self, connection: BaseDatabaseWrapper, row: Sequence[Any]) -> dict[str, Any]:
        """Return the values of PostgreSQL's ``row``, which has all columns, by the core's names."""
        return {
            name: value if convert is None else convert(connection, value)
            for (name, convert), value in zip(self._converters, row, strict=True)
        }

    def insert(self, connection: BaseDatabaseWrapper, *records: Record) -> Statement:
        """
        Return what adds those of ``records`` whose id or key is not there already.

        MySQL and MariaDB add none of them where one is.
        """
        # Their INSERT IGNORE would ignore what is too long as well; see Statement.execute().
        unless_there = "" if connection.vendor == "mysql" else " ON CONFLICT DO NOTHING"
        into, rows, params = self._rows(connection, records)
        return Statement(f"{into} {rows}{unless_there}", params)

    def most_rows(
        self, connection: BaseDatabaseWrapper, wanted: int, params: int | None = None
    ) -> int:
        """Return how many rows, up to ``wanted``, one statement may write with so many params."""
        params = params or len(self.fields)
        # SQLite takes only so many parameters at once.
        return min(wanted, (connection.features.max_query_params or wanted * params) // params)

    def insert_all(
        self, connection: BaseDatabaseWrapper, records: Sequence[Record], *, guarded: bool
    ) -> Iterator[Statement]:
        """Yield what adds ``records`` in their order."""
        is_joined = guarded and self.is_postgres
        if is_joined and len(records) == 1:  # as most are, and quicker said without a list
            into, columns = self._into(records)
            rows = f"SELECT {columns.marks} FROM guard LIMIT 1"
            yield Statement(f"{into} {rows}", columns.values(connection, records[0]))
            return
        for batch in batches(records, self.most_rows(connection, len(records))):
            into, rows, params = self._rows(connection, batch)
            if is_joined:
                rows = f"SELECT * FROM ({rows}) AS given WHERE {IF_HIT}"
            yield Statement(f"{into} {rows}", params)

    def insert_below(
        self, connection: BaseDatabaseWrapper, record: Record, owner: Table, owner_id: str
    ) -> Statement:
        """Return what adds ``record``, and hits nothing where ``owner`` has no row ``owner_id``."""
        matched, params = owner._where(connection, {"id": owner_id})
        into, columns = self._into([record])
        return Statement(
            f"{into} SELECT {columns.marks} FROM {owner.name} WHERE {matched}",
            [*columns.values(connection, record), *params],
        )

    def update(
        self,
        connection: BaseDatabaseWrapper,
        record: Record,
        names: Sequence[str],
        *,
        where: Mapping[str, Any],
        guarded: bool = False,
    ) -> Statement:
        """Return what writes the fields ``names`` of ``record`` to the rows ``where`` finds."""
        columns = self._of(tuple(names))
        matched, params = self._where(connection, where)
        if guarded and self.is_postgres:
            matched = f"{matched} AND {IF_HIT}"
        return Statement(
            f"UPDATE {self.name} SET {columns.written} WHERE {matched}",
            columns.values(connection, record) + params,
        )

    def update_all(
        self, connection: BaseDatabaseWrapper, changed: Iterable[tuple[Any, Sequence[str]]]
    ) -> Iterator[Statement]:
        """Yield what writes of each record the fields named beside it, to the row of its id."""
        alike: dict[tuple[str, ...], list[Any]] = {}
        for record, names in changed:
            alike.setdefault(tuple(names), []).append(record)
        for names, records in alike.items():
            if len(records) == 1:
                yield self.update(connection, records[0], names, where={"id": records[0].id})
            elif self.is_postgres:
                yield self._update_from_list(connection, records, names)
            else:
                most = self.most_rows(connection, MOST_CASES, 2 * len(names) + 1)
                for batch in batches(records, most):
                    yield self._update_by_case(connection, batch, names)

    def _update_from_list(
        self, connection: BaseDatabaseWrapper, records: Sequence[Any], names: Sequence[str]
    ) -> Statement:
        arrays, params = self._arrays(connection, records, ["id", *names])
        columns = [self.columns[name] for name in names]
        written = ", ".join(f"{column} = given.{column}" for column in columns)
        return Statement(
            f"UPDATE {self.name} SET {written} FROM {arrays} AS given (id, {', '.join(columns)})"
            f" WHERE {self.name}.id = given.id",
            params,
        )

    def update_fenced(
        self, connection: BaseDatabaseWrapper, records: Sequence[Any], names: Sequence[str]
    ) -> Statement:
        """Return what does so on PostgreSQL where ``locked`` has id and fence; it reads the ids."""
        arrays, params = self._arrays(connection, records, ["id", "fence", *names])
        columns = [self.columns[name] for name in names]
        written = ", ".join(f"{column} = given.{column}" for column in columns)
        listed = ", ".join(["id", "fence", *columns])
        return Statement(
            f"UPDATE {self.name} SET {written} FROM {arrays} AS given ({listed})"
            f" JOIN locked USING (id, fence) WHERE {self.name}.id = given.id"
            f" RETURNING {self.name}.id",
            params,
        )

    def insert_beside(
        self, connection: BaseDatabaseWrapper, records: Sequence[Record], owner: str
    ) -> Statement:
        """Return what adds on PostgreSQL those whose field ``owner`` is among the ``hits``."""
        into, columns = self._into(records)
        arrays, params = self._arrays(connection, records, columns.names)
        return Statement(
            f"{into} SELECT {columns.listed}"
            f" FROM {arrays} WITH ORDINALITY AS given ({columns.listed}, place)"
            f" WHERE {self.columns[owner]} IN (SELECT id FROM hits) ORDER BY place",
            params,
        )

    def _update_by_case(
        self, connection: BaseDatabaseWrapper, records: Sequence[Any], names: Sequence[str]
    ) -> Statement:
        ids = [self.value(connection, "id", record.id) for record in records]
        cases = " ".join(["WHEN %s THEN %s"] * len(ids))
        written = ", ".join(f"{self.columns[name]} = CASE id {cases} END" for name in names)
        params = [
            param
            for name in names
            for one, record in zip(ids, records, strict=True)
            for param in (one, self.value(connection, name, getattr(record, name)))
        ]
        marks = ", ".join(["%s"] * len(ids))
        sql = f"UPDATE {self.name} SET {written} WHERE id IN ({marks})"
        return Statement(sql, [*params, *ids])

    def delete(self, connection: BaseDatabaseWrapper, row_id: Any) -> Statement:
        """Return what deletes the row ``row_id``."""
        matched, params = self._where(connection, {"id": row_id})
        return Statement(f"DELETE FROM {self.name} WHERE {matched}", params)

    def value(self, connection: BaseDatabaseWrapper, name: str, value: Any) -> Any:
        """Return ``value`` of the field ``name`` as the database takes it."""
        return self._writers[name](connection, value)

    def _rows(
        self, connection: BaseDatabaseWrapper, records: Sequence[Record]
    ) -> tuple[str, str, list[Any]]:
        """Return into what ``records`` are added, and them as rows, with their parameters."""
        into, columns = self._into(records)
        if self.is_postgres and len(records) > FEW_ROWS:
            arrays, params = self._arrays(connection, records, columns.names)
            return into, f"SELECT * FROM {arrays}", params
        rows = ", ".join([f"({columns.marks})"] * len(records))
        params = [value for one in records for value in columns.values(connection, one)]
        return into, f"VALUES {rows}", params

    def _into(self, records: Sequence[Record]) -> tuple[str, Columns]:
        """Return how adding ``records`` begins, and the columns that it names."""
        columns = self._given(records)
        return f"INSERT INTO {self.name} ({columns.listed})", columns

    def _given(self, records: Sequence[Record]) -> Columns:
        """Return the columns that one of ``records`` has a value for: of an entry, hardly half."""
        if len(records) == 1:
            values = zip(self.fields, self._read(records[0]), strict=True)
            return self._of(tuple([name for name, value in values if value is not None]))
        rows = zip(*(self._read(record) for record in records), strict=True)
        given = zip(self.fields, rows, strict=True)
        return self._of(tuple(name for name, row in given if any(one is not None for one in row)))

    def _choose(self, names: tuple[str, ...]) -> Columns:
        mark = "%s::{}" if self.is_postgres else "%s"
        return Columns(
            names=names,
            listed=", ".join(self.columns[name] for name in names),
            marks=", ".join(mark.format(self.kinds[name]) for name in names),
            written=", ".join(f"{self.columns[name]} = %s" for name in names),
            read=reader(names),
            writers=tuple(self._writers[name] for name in names),
        )

    def _arrays(
        self, connection: BaseDatabaseWrapper, records: Sequence[Any], names: Sequence[str]
    ) -> tuple[str, list[Any]]:
        """Return rows as a table of PostgreSQL: a parameter for each column, not for each value."""
        arrays = ", ".join(f"%s::{self.kinds[name]}[]" for name in names)
        return f"unnest({arrays})", [
            [self.value(connection, name, getattr(record, name)) for record in records]
            for name in names
        ]

    def _where(
        self, connection: BaseDatabaseWrapper, where: Mapping[str, Any]
    ) -> tuple[str, list[Any]]:
        matched = " AND ".join(f"{self.columns[name]} = %s" for name in where)
        return matched, [self.value(connection, name, value) for name, value in where.items()]


def _kind(field: Field[Any, Any], connection: BaseDatabaseWrapper) -> str:
    # PostgreSQL guesses types from a list of rows, where NULL is text. No length: a cast to
    # varchar(20) cuts in silence what an assignment refuses.
    return (field.rel_db_type(connection) or "").partition("(")[0]


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield ``items`` in their order, at most ``size`` at once."""
    for start in range(0, len(items), size or 1):
        yield items[start : start + size]
