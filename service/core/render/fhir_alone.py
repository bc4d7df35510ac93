"""One FHIR R4 resource as it is read by itself: what it refers to is named, served beside it, or contained."""

from collections.abc import Mapping, Sequence

from service.core.render.fhir_values import Element, pruned, references_in, resource_key, with_references
from service.core.report import Report

#: What is read by itself; the rest stands in what refers to it.
_SERVED = ("DiagnosticReport", "Observation", "ImagingStudy")
#: These have a life of their own elsewhere, so they are named and not copied (R4 2.3.0.2, Reference.identifier).
_NAMED = ("Patient", "ServiceRequest")


def versioned(resource: Element, report: Report) -> Element:
    """As our own interface gives it; a server that it is sent to counts for itself."""
    return resource | {"meta": {"versionId": str(report.version), **resource["meta"]}}


def by_itself(resource: Element, supporting: Sequence[Element]) -> Element:
    """One of `_SERVED`; what it refers to and nobody serves is contained, or named where it lives elsewhere."""
    known = {resource_key(one): one for one in supporting}
    contained: dict[str, Element] = {}

    def resolve(reference: str) -> Element:
        kind = reference.partition("/")[0]
        if kind in _SERVED:
            return {"reference": reference}
        if kind in _NAMED:
            return _named(known[reference])
        contained[reference] = known[reference]
        return {"reference": f"#{known[reference]['id']}"}

    stands = with_references(resource, resolve)
    inner = [with_references(one, resolve) for one in _with_all_beneath(contained, known)]
    head = {name: stands.pop(name) for name in ("resourceType", "id", "meta") if name in stands}
    return pruned(**head, contained=inner, **stands)


def _with_all_beneath(contained: Mapping[str, Element], known: Mapping[str, Element]) -> list[Element]:
    """The resources and what they refer to in turn, each once."""
    found = dict(contained)
    for one in contained.values():
        found |= {reference: known[reference] for reference in references_in(one)}
    return list(found.values())


def _named(resource: Element) -> Element:
    """A logical reference; with nothing to name it by, its type alone."""
    identifiers = resource.get("identifier", [])
    return pruned(type=resource["resourceType"], identifier=identifiers[0] if identifiers else None, display=_display(resource))


def _display(resource: Element) -> str | None:
    names = resource.get("name", [])
    if not names:
        return None
    first = names[0]
    return " ".join((*first.get("prefix", ()), *first.get("given", ()), *filter(None, (first.get("family"),))))
