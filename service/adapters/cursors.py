"""Opaque cursors for keyset paging: the key of the last row of a page, so that a page is found by index however deep."""

import base64
import binascii
import json
from datetime import datetime

from service.errors import InputRejected

_LARGEST_ID = (1 << 63) - 1
_LONGEST = 512


def after_id(cursor: str | None) -> int:
    """The id below which the page begins. Raises InputRejected."""
    if cursor is None:
        return _LARGEST_ID
    (value,) = _decode(cursor, 1)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST_ID:
        raise _wrong()
    return value


def of_id(value: int) -> str:
    """A cursor after the row with this id."""
    return _encode([value])


def after_arrival(cursor: str) -> tuple[datetime, str]:
    """Time of arrival and UID below which the page begins. Raises InputRejected."""
    at, uid = _decode(cursor, 2)
    if not isinstance(at, str) or not isinstance(uid, str) or "\0" in uid:
        raise _wrong()
    try:
        found = datetime.fromisoformat(at)
    except ValueError as error:
        raise _wrong() from error
    if found.tzinfo is None:
        raise _wrong()
    return found, uid


def of_arrival(at: datetime, uid: str) -> str:
    """A cursor after the row with this time and UID."""
    return _encode([at.isoformat(), uid])


def _encode(parts: list[object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def _decode(cursor: str, length: int) -> list[object]:
    try:
        if len(cursor) > _LONGEST:
            raise _wrong()
        parts = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _wrong() from error
    if not isinstance(parts, list) or len(parts) != length:
        raise _wrong()
    return parts


def _wrong() -> InputRejected:
    return InputRejected("The cursor is not one that this service gave; ask again without it.", reason="cursor")
