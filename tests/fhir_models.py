"""What fhir.resources itself does not check: that codes are of the list that R4 binds, and that references lead somewhere."""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from fhir_core.fhirabstractmodel import FHIRAbstractModel


def read(resource: Mapping[str, Any]) -> FHIRAbstractModel:
    """The model of a resource, its required bindings checked. Raises ValidationError, AssertionError."""
    model = get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    _check_bindings(model)
    return model


def _check_bindings(model: FHIRAbstractModel) -> None:
    for name, field in type(model).model_fields.items():
        value, extra = getattr(model, name), field.json_schema_extra
        allowed = extra.get("enum_values") if isinstance(extra, dict) else None
        # A plus says that the list goes on.
        if isinstance(value, str) and isinstance(allowed, list) and "+" not in allowed:
            assert value in allowed, (type(model).__name__, name, value)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, FHIRAbstractModel):
                _check_bindings(one)


def references(node: object) -> Iterator[str]:
    """Every literal reference beneath."""
    if isinstance(node, Mapping):
        if isinstance(node.get("reference"), str):
            yield node["reference"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def texts(node: object) -> Iterator[str]:
    """Every string beneath."""
    if isinstance(node, Mapping):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node
