"""Values of single attributes, read so that a malformed one counts as absent instead of raising."""

import math
import struct

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException

#: What pydicom raises when it converts a malformed value.
_MALFORMED = (
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
    LookupError,
    NotImplementedError,
    struct.error,
    BytesLengthException,
)


def is_present(dataset: Dataset, keyword: str) -> bool:
    """True when the attribute is there, whatever its value."""
    return keyword in dataset


def read_number(dataset: Dataset, keyword: str) -> float | None:
    """One finite number; None when absent, empty, malformed or many."""
    numbers = read_numbers(dataset, keyword)
    return numbers[0] if numbers is not None and len(numbers) == 1 else None


def read_integer(dataset: Dataset, keyword: str) -> int | None:
    """One integer; None when absent, empty, malformed, fractional or many."""
    number = read_number(dataset, keyword)
    return int(number) if number is not None and number.is_integer() else None


def read_numbers(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
    """All values as finite numbers; None when absent, empty, or any is malformed."""
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return None
        listed = value if not isinstance(value, str | bytes | int | float) and hasattr(value, "__iter__") else [value]
        numbers = tuple(float(item) for item in listed)
    except _MALFORMED:
        return None
    return numbers if numbers and all(map(math.isfinite, numbers)) else None


def read_text(dataset: Dataset, keyword: str) -> str | None:
    """The first value as trimmed text; None when absent, empty or malformed."""
    try:
        value = dataset.get(keyword)
        if value is not None and not isinstance(value, str) and hasattr(value, "__getitem__") and len(value):
            value = value[0]
        text = "" if value is None else str(value).strip(" \0")
    except _MALFORMED:
        return None
    return text or None


def read_texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """All values as trimmed text; none when absent, empty or malformed."""
    try:
        value = dataset.get(keyword)
        listed = [value] if isinstance(value, str) else list(value or ())
        return tuple(text for item in listed if (text := str(item).strip(" \0")))
    except _MALFORMED:
        return ()


def read_items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """The items of a sequence; empty when absent or malformed."""
    try:
        value = dataset.get(keyword)
        return tuple(item for item in value if isinstance(item, Dataset)) if value is not None else ()
    except _MALFORMED:
        return ()
