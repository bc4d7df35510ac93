"""The attributes of a stored file: as DICOM JSON (PS3.18 F), and single values of them that are too large for it."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from service.adapters.dicom_header import read_header
from service.adapters.stored_frames import opened
from service.core.attribute_values import read_integer
from service.errors import InputRejected, NotFound

#: A cine has a few kilobytes of attributes, and a reader that keeps them all needs many times their size.
MAXIMUM_ATTRIBUTE_BYTES = 8 << 20
#: Binary values longer than this are given by address.
MAXIMUM_INLINE_BYTES = 1024
#: A tag, or for an item of a sequence: the sequence's tag, the item's number from 1, and so on.
PLACE = r"^[0-9A-F]{8}(/[1-9][0-9]{0,5}/[0-9A-F]{8}){0,16}$"
_SPECIFIC_CHARACTER_SET, _AVAILABLE_TRANSFER_SYNTAX_UID, _PIXEL_DATA = "00080005", "00083002", "7FE00010"
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


def read_attributes_json(path: Path, *, address: str) -> dict[str, Any]:
    """Every attribute; `address` is the instance's own, below which frames and large values are.

    Raises InputRejected, NotFound, Unavailable.
    """
    dataset, syntax = read_attributes(path)
    places = {id(element): place for place, element in _binary_values(dataset, "")}
    found: dict[str, Any] = dataset.to_json_dict(
        bulk_data_threshold=MAXIMUM_INLINE_BYTES,
        bulk_data_element_handler=lambda element: f"{address}/bulkdata/{places[id(element)]}",
        suppress_invalid_tags=True,
    )
    found[_SPECIFIC_CHARACTER_SET] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # of the JSON (PS3.18 F.2.2)
    found[_AVAILABLE_TRANSFER_SYNTAX_UID] = {"vr": "UI", "Value": [syntax]}
    if read_integer(dataset, "Rows") is not None:
        found[_PIXEL_DATA] = {"vr": "OW", "BulkDataURI": f"{address}/frames"}
    return dict(sorted(found.items()))


def encode_json(attributes: dict[str, Any]) -> bytes:
    """Raises InputRejected for a number that JSON does not have."""
    try:
        return json.dumps(attributes, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise InputRejected("The instance holds a number that is none, which JSON cannot say.", reason="not_a_number") from error


def read_bulk_value(path: Path, place: str) -> bytes:
    """A binary value as its file has it. Raises NotFound, InputRejected, Unavailable."""
    if not re.fullmatch(PLACE, place):
        raise _no_value()
    item, _ = read_attributes(path)
    *outer, last = place.split("/")
    try:
        for tag, number in zip(outer[::2], outer[1::2], strict=True):
            item = item[Tag(int(tag, 16))].value[int(number) - 1]
        value = item[Tag(int(last, 16))].value
    except (KeyError, IndexError, TypeError) as error:
        raise _no_value() from error
    if not isinstance(value, bytes):
        raise _no_value()
    return value


def read_attributes(path: Path) -> tuple[Dataset, str]:
    """All before the pixels, and the transfer syntax. Raises InputRejected, NotFound, Unavailable."""
    with opened(path) as descriptor:
        _, syntax, offset = read_header(descriptor)
        if offset > MAXIMUM_ATTRIBUTE_BYTES:
            raise InputRejected("The attributes are larger than are read; retrieve the instance.", reason="too_large")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            dataset = pydicom.dcmread(file, stop_before_pixels=True)
            _ = [*dataset.iterall()]  # what cannot be read raises here, where it becomes an error of ours
            return dataset, syntax


def _binary_values(dataset: Dataset, above: str) -> Iterator[tuple[str, DataElement]]:
    for element in dataset:
        place = f"{above}{int(element.tag):08X}"
        if element.VR == "SQ":
            for number, item in enumerate(element.value, start=1):
                yield from _binary_values(item, f"{place}/{number}/")
        elif element.VR in _BINARY or " or " in element.VR:
            yield place, element


def _no_value() -> NotFound:
    return NotFound("The instance has no binary value at this place.", reason="no_such_value")
