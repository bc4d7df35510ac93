"""MPEG transport streams (ISO/IEC 13818-1 2.4.3): whether their packets stand where they should."""

import io
from functools import partial

_PACKET_BYTES = 188
_SYNC = b"\x47"
_PADDING = b"\0\xff"
_CHUNK_BYTES = 4096 * _PACKET_BYTES


def is_out_of_step(stream: io.BufferedIOBase) -> bool:
    """Whether bytes of a transport stream were lost, added or overwritten; zeros or ones behind its last packet may stand there.

    False for every other stream. FFmpeg goes on at the next packet that it finds, and the decoder with what is left of a picture.
    """
    is_transport, in_step = False, True
    for chunk in iter(partial(_read_whole, stream), b""):
        starts = chunk[::_PACKET_BYTES]
        is_transport = is_transport or starts.startswith(_SYNC * 2)
        if not is_transport:
            return False
        strayed = len(starts) - len(starts.lstrip(_SYNC)) if in_step else 0
        in_step = in_step and strayed == len(starts)
        if chunk[strayed * _PACKET_BYTES :].strip(_PADDING):
            return True
    return False


def _read_whole(stream: io.BufferedIOBase) -> bytes:
    """A whole number of packets, but for the last."""
    chunk = bytearray()
    while part := stream.read(_CHUNK_BYTES - len(chunk)):
        chunk += part
    return bytes(chunk)
