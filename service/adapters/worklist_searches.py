"""Keeps what people search for, so that no patient is named in an address."""

import secrets
from datetime import timedelta

from sqlalchemy import Engine, delete, func, insert, select

from service.adapters.postgres import reading, vendor_errors_translated
from service.adapters.worklist_tables import WorklistSearchRow
from service.views import WorklistSearch

#: A working day, and some of the next morning.
KEPT = timedelta(hours=24)
_TOKEN_BYTES = 16


class PostgresWorklistSearches:
    """Implements views.WorklistSearches."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def keep(self, wanted: WorklistSearch, *, principal: str) -> str:
        """A new token; searches that are too old go, whoever made them."""
        token, row = secrets.token_urlsafe(_TOKEN_BYTES), WorklistSearchRow
        with vendor_errors_translated(), self._engine.begin() as connection:
            connection.execute(delete(row).where(row.created_at < func.now() - KEPT))
            values = {"token": token, "principal": principal, "wanted": wanted.model_dump(exclude_none=True)}
            connection.execute(insert(row).values(values))
        return token

    def find(self, token: str, *, principal: str) -> WorklistSearch | None:
        """None when it is too old, unknown, or somebody else's."""
        row = WorklistSearchRow
        query = select(row.wanted).where(row.token == token, row.principal == principal, row.created_at >= func.now() - KEPT)
        with reading(self._engine) as connection:
            found = connection.execute(query).scalar_one_or_none()
        return None if found is None else WorklistSearch.model_validate(found)
