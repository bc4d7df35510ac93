"""The table of searches in the worklist, as Alembic migrates it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column

from service.adapters.tables import Row


class WorklistSearchRow(Row):
    """What somebody searches for, under a name that may stand in an address; it is forgotten after a day."""

    __tablename__ = "worklist_searches"

    token: Mapped[str] = mapped_column(primary_key=True)
    #: Who searches; nobody else's address finds it.
    principal: Mapped[str]
    wanted: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index(None, "created_at"),)
