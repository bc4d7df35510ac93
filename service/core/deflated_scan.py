"""The scanner for each transfer syntax, the deflated one among them (PS3.5 A.5)."""

import zlib
from collections.abc import Callable

from service.core.dataset_scan import DEFLATED_EXPLICIT, DataSetScanner, ScannedDataSet, Wanted
from service.errors import InputRejected

_INFLATED_PIECE = 256 << 10


class InflatingScanner:
    """The same for Deflated Explicit VR Little Endian (PS3.5 A.5): never more than a piece of it is inflated at a time.

    Raises InputRejected with the reason `inflates_too_far` as well.
    """

    def __init__(self, *, transfer_syntax_uid: str, wanted: Wanted, maximum_bytes: int) -> None:
        self._scanner = DataSetScanner(transfer_syntax_uid=transfer_syntax_uid, wanted=wanted, inflated=True)
        self._inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        self._maximum_bytes = maximum_bytes
        self._inflated = 0

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Inflate and walk over the next bytes."""
        left: bytes | bytearray | memoryview = data
        try:
            while not self._inflater.eof and (left or self._inflater.unconsumed_tail):
                piece = self._inflater.decompress(left, _INFLATED_PIECE)
                left = self._inflater.unconsumed_tail
                self._inflated += len(piece)
                if self._inflated > self._maximum_bytes:
                    raise InputRejected("The deflated data set unpacks to more than is taken", reason="inflates_too_far")
                self._scanner.feed(piece)
        except zlib.error as error:
            raise InputRejected("The data set is not deflated as its transfer syntax says", reason="not_a_data_set") from error

    def finish(self) -> ScannedDataSet:
        """Say that no bytes follow."""
        if not self._inflater.eof:
            raise InputRejected("The deflated data set is cut short", reason="truncated")
        return self._scanner.finish()


def scanner_for(
    *, transfer_syntax_uid: str, wanted: Wanted, maximum_inflated_bytes: int | None
) -> DataSetScanner | InflatingScanner:
    """The scanner for a transfer syntax; without a maximum, a deflated one is refused (`deflated`)."""
    if transfer_syntax_uid == DEFLATED_EXPLICIT and maximum_inflated_bytes is not None:
        return InflatingScanner(transfer_syntax_uid=transfer_syntax_uid, wanted=wanted, maximum_bytes=maximum_inflated_bytes)
    return DataSetScanner(transfer_syntax_uid=transfer_syntax_uid, wanted=wanted)


def scan_data_set(read: Callable[[int], bytes], scanner: DataSetScanner | InflatingScanner) -> ScannedDataSet:
    """Scan what `read(size)` gives until it gives nothing."""
    while piece := read(1 << 20):
        scanner.feed(piece)
    return scanner.finish()
