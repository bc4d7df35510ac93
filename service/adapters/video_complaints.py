"""What FFmpeg prints about the pictures of a video, heard within the process that decodes them."""

import io
import os

from service.adapters.video_frames import decode_video
from service.errors import InputRejected

_STANDARD_ERROR = 2
_PIPE_BYTES = 1 << 16
#: MPEG-1 of one picture whose only slice is broken: what a process that hears FFmpeg refuses.
_BROKEN_VIDEO = bytes.fromhex("000001b301001013ffffe018 00000100000ffff8 000001010affffffffffffffff")
_BROKEN_VIDEO_SIDE = 16


def _open_standard_descriptors() -> None:
    """Where a supervisor closed any: the pipe would else get its number, and be written over by itself."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(descriptor)


class Complaints:
    """What FFmpeg prints to this process's standard error; OpenCV gives no other word of a picture that was made up.

    Raises RuntimeError when nothing that FFmpeg prints comes here: made-up pictures would be taken for whole ones.
    """

    def __init__(self) -> None:
        _open_standard_descriptors()
        self._printed, end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        former = os.dup(_STANDARD_ERROR)
        os.dup2(end, _STANDARD_ERROR)
        os.close(end)
        if not self._are_heard():
            os.dup2(former, _STANDARD_ERROR)
            raise RuntimeError("What FFmpeg says of broken pictures does not reach the decoder")
        os.close(former)

    def take(self) -> bytes:
        """What was printed since the last call; nobody may keep it, for it may hold what a patient's file says."""
        try:
            return os.read(self._printed, _PIPE_BYTES)
        except BlockingIOError:
            return b""

    def _are_heard(self) -> bool:
        side = _BROKEN_VIDEO_SIDE
        try:
            list(decode_video(lambda: io.BytesIO(_BROKEN_VIDEO), frames=1, rows=side, columns=side, take_printed=self.take))
        except InputRejected:
            return True
        return False
