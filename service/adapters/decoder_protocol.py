"""The words between the worker and its decoder process: a JSON head, then raw bytes.

Requests go over a Unix socket (with the opened file beside `open`), answers come through a pipe, whose size is the
back-pressure. Either side may die at any moment; neither believes a length without a bound.
"""

import json
import os
import select
import struct
import time
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from service.core.cine import CineHeader

HEAD = struct.Struct("<IQ")
MAXIMUM_HEAD_BYTES = 64 << 20
MAXIMUM_REQUEST_BYTES = 4096
CINE_HEADER = TypeAdapter(CineHeader)

Head = Mapping[str, Any]


class Hangup(Exception):
    """The other side closed or died."""


class Silence(Exception):
    """The other side said nothing for too long."""


def encode_head(head: Head, payload_bytes: int) -> bytes:
    """Lengths and JSON; the payload follows."""
    text = json.dumps(head, separators=(",", ":")).encode()
    return HEAD.pack(len(text), payload_bytes) + text


def write_all(descriptor: int, *parts: bytes | memoryview) -> None:
    """Write everything, waiting while the other side is slow. Raises OSError when it is gone."""
    views = [memoryview(part).cast("B") for part in parts if len(part)]
    while views:
        written = os.writev(descriptor, views)
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if written:
            views[0] = views[0][written:]


class Reader:
    """Reads answers from a pipe within a budget of seconds spent waiting."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self.seconds_left = 0.0

    def read_head(self) -> tuple[dict[str, Any], int]:
        """The JSON head and how many payload bytes follow. Raises Hangup, Silence."""
        lengths = bytearray(HEAD.size)
        self.read_into(memoryview(lengths))
        head_bytes, payload_bytes = HEAD.unpack(lengths)
        if head_bytes > MAXIMUM_HEAD_BYTES:
            raise Hangup
        text = bytearray(head_bytes)
        self.read_into(memoryview(text))
        try:
            head = json.loads(text)
        except ValueError as error:
            raise Hangup from error
        if not isinstance(head, dict):
            raise Hangup
        return head, payload_bytes

    def read_into(self, view: memoryview) -> None:
        """Fill `view`. Only the time spent waiting for the other side counts. Raises Hangup, Silence."""
        position = 0
        while position < len(view):
            began = time.monotonic()
            ready = self._poll.poll(max(self.seconds_left, 0.0) * 1000)
            self.seconds_left -= time.monotonic() - began
            if not ready:
                raise Silence
            count = os.readv(self._descriptor, [view[position:]])
            if count == 0:
                raise Hangup
            position += count
