"""The rules file: one TOML text that says which analyses run (`[[rules]]`) and where their results go (`[[delivery_rules]]`)."""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from typing import Self

from pydantic import ValidationError, model_validator

from service.core.delivery_rules import DeliveryRule, mistakes
from service.core.routing import RoutingRules
from service.errors import InputRejected

_TABLES = {"rules": "rule", "delivery_rules": "delivery rule"}


class Rules(RoutingRules):
    """Both tables. Without `rules` the built-in ones serve, without `delivery_rules` every destination gets all that it takes."""

    delivery_rules: tuple[DeliveryRule, ...] = ()

    @model_validator(mode="after")
    def _rule_names_differ(self) -> Self:
        for kind, names in (
            ("rules", [rule.label for rule in self.rules]),
            ("delivery_rules", [rule.name for rule in self.delivery_rules]),
        ):
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise ValueError(f"{kind}: two have the name {twice}")
        return self


def read_rules(
    toml: str, analyses: Collection[str] | None = None, destinations: Mapping[str, Collection[str]] | None = None
) -> Rules:
    """Rules from the text of a TOML file, for the analyses, and the destinations with their kinds, that are given, if they are.

    Raises InputRejected naming what is wrong.
    """
    try:
        rules = Rules.model_validate(tomllib.loads(toml))
    except tomllib.TOMLDecodeError as error:
        raise InputRejected(f"The routing file is no TOML: {error}", reason="routing_file_invalid") from error
    except ValidationError as error:
        raise _wrong("; ".join(_told(error))) from error
    for number, rule in enumerate(rules.rules, 1):
        if analyses is not None and rule.analysis not in analyses:
            known = ", ".join(sorted(analyses))
            raise _wrong(f"rule {number} is for the analysis {rule.analysis}, which this version does not have; it has: {known}")
    if found := list(mistakes(rules.delivery_rules, destinations, analyses)):
        raise _wrong("; ".join(found))
    return rules


def _wrong(what: str) -> InputRejected:
    return InputRejected(f"The routing file is wrong: {what}", reason="routing_file_invalid")


def _told(error: ValidationError) -> Iterator[str]:
    """Each mistake with its place, rules counted from 1 as people count them."""
    for one in error.errors(include_url=False, include_input=False):
        place, said = one["loc"], one["msg"].removeprefix("Value error, ")
        match place:
            case [str(table), int(number), *rest] if table in _TABLES:
                yield ": ".join([f"{_TABLES[table]} {number + 1}", *([".".join(map(str, rest))] if rest else []), said])
            case [str(table)] if one["type"] == "extra_forbidden":
                known = " and ".join(f"[[{name}]]" for name in _TABLES)
                yield f"there is no table {table}: a rules file has {known}"
            case _:
                yield ": ".join([*([".".join(map(str, place))] if place else []), said])
