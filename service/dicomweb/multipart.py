"""multipart/related bodies (RFC 2387, PS3.18 8.6.1), written as they are read."""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its media type with parameters, where it comes from, and its bytes in pieces."""

    media_type: str
    content: Iterable[bytes]
    location: str | None = None


def new_boundary() -> str:
    """A boundary that no content holds."""
    return uuid.uuid4().hex


def content_type(kind: str, boundary: str) -> str:
    """The Content-Type of the whole; `kind` is the type of its parts."""
    return f'multipart/related; type="{kind}"; boundary={boundary}'


def write(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    """The body, piece by piece."""
    for part in parts:
        location = f"Content-Location: {part.location}\r\n" if part.location else ""
        yield f"--{boundary}\r\nContent-Type: {part.media_type}\r\n{location}\r\n".encode()
        yield from part.content
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
