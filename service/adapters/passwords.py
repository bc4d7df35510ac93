"""Passwords as Argon2id hashes (RFC 9106)."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from service.core.passwords import LONGEST, normalised
from service.errors import Unavailable

#: Hashes made at a time by a process: each takes the memory below, and a core or more.
_AT_A_TIME = 2
_WAIT_SECONDS = 5.0


class Passwords:
    """Hashes and compares; the defaults are the second recommendation of RFC 9106 4, above what OWASP asks for at least."""

    def __init__(self, *, passes: int = 3, memory_kib: int = 64 << 10, lanes: int = 4) -> None:
        self._hasher = PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=lanes, hash_len=32, salt_len=16, type=Type.ID
        )
        self._turns = threading.BoundedSemaphore(_AT_A_TIME)

    def hash(self, password: str) -> str:
        """A PHC string with its own salt. Raises Unavailable when too many ask at once."""
        with self._turn():
            return self._hasher.hash(normalised(password))

    def matches(self, password: str, kept: str | None) -> bool:
        """False for another password, and, after as much work, when nothing is kept. Raises Unavailable."""
        # What is longer was never taken; a body may hold a megabyte.
        text = normalised(password[: 4 * LONGEST])
        # Made at the first comparison, whichever that is, so that its time tells nothing either.
        nobodys = self._of_nobody
        try:
            with self._turn():
                return self._hasher.verify(nobodys if kept is None else kept, text) and kept is not None
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, kept: str) -> bool:
        """True for a hash that was made with other parameters than those of now."""
        return self._hasher.check_needs_rehash(kept)

    @cached_property
    def _of_nobody(self) -> str:
        return self.hash(secrets.token_urlsafe(16))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=_WAIT_SECONDS):
            raise Unavailable("Too many sign in at once; try again in a few seconds.", reason="busy")
        try:
            yield
        finally:
            self._turns.release()
