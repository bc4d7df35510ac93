"""What matches (PS3.4 C.2.2.2) as SQL; every value is a parameter."""

import re

from sqlalchemy import ColumnElement, Integer, String, Text, any_, cast, func, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute

from service.core.qido_query import Between, Equal, Matcher, Name, Number, Wildcard

Value = ColumnElement[str] | InstrumentedAttribute[str] | InstrumentedAttribute[str | None]


def condition(value: Value, vr: str, matcher: Matcher) -> ColumnElement[bool]:
    """True where `value` matches; what is not known matches nothing."""
    match matcher:
        case Equal(values):
            return value == values[0] if len(values) == 1 else value == any_(literal(list(values), ARRAY(Text())))
        case Number(number):
            return cast(value, Integer) == number
        case Wildcard(pattern):
            return value.like(_like(pattern), escape="\\")
        case Name(pattern):
            return func.lower(value, type_=String()).regexp_match(_name_pattern(pattern))
        case Between(first, last):
            return _between(value if vr == "DA" else _moment(value), first, last)


def _like(pattern: str) -> str:
    escaped = re.sub(r"([\\%_])", r"\\\1", pattern)
    return escaped.replace("*", "%").replace("?", "_")


def _name_pattern(pattern: str) -> str:
    """One component group or all of them; carets at the end say nothing (PS3.5 6.2.1)."""
    any_of = {"*": ".*", "?": "."} if "=" in pattern else {"*": "[^=]*", "?": "[^=]"}
    parts = re.split(r"([*?])", pattern.lower().rstrip("^"))
    body = "".join(any_of.get(part) or re.sub(r"([^\w\s])", r"\\\1", part) for part in parts)
    return rf"(^|=){body}\^*(=|$)"


def _moment(value: Value) -> ColumnElement[str]:
    """A time as HHMMSS.FFFFFF, whatever of it is there."""
    plain = func.replace(value, ":", "")
    seconds, fraction = func.split_part(plain, ".", 1), func.split_part(plain, ".", 2)
    return func.rpad(seconds, 6, "0", type_=String()) + "." + func.rpad(fraction, 6, "0", type_=String())


def _between(value: Value, first: str | None, last: str | None) -> ColumnElement[bool]:
    if first is not None and first == last:
        return value == first
    if first is None:
        return value <= last
    return value >= first if last is None else value.between(first, last)
