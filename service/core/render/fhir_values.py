"""FHIR R4 data types, made of our values. Elements are plain dicts in the order of the specification; empty ones are left out.

Systems are those of https://hl7.org/fhir/R4/terminologies-systems.html.
"""

import base64
import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from service.core import codes
from service.core.findings import Code
from service.core.identifiers import derive_uid
from service.core.wording import symbol

Element = dict[str, Any]

UUID_SYSTEM = "urn:ietf:rfc:3986"
DICOM_UID_SYSTEM = "urn:dicom:uid"
_HL7 = "http://terminology.hl7.org/CodeSystem"
_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "MDC": "urn:iso:std:iso:11073:10101",
    codes.PRIVATE_SCHEME: f"urn:oid:{codes.PRIVATE_SCHEME_UID}",
}


def pruned(**elements: object) -> Element:
    """The elements that say something; FHIR knows neither null nor empty ones."""
    return {name: value for name, value in elements.items() if value not in (None, "", [], {}, ())}


def clean(text: str | None) -> str | None:
    """Text as a FHIR string: no control characters but line breaks and tabs, not only blanks; None when nothing is left."""
    kept = "".join(character for character in text or "" if character.isprintable() or character in "\n\t")
    return kept.strip() or None


def hl7(system: str, code: str, display: str | None = None) -> Element:
    """A coding of HL7's own terminology."""
    return pruned(system=f"{_HL7}/{system}", code=code, display=display)


def coding(code: Code) -> Element:
    """A DICOM code; one of a scheme that FHIR gives no URI to stands without a system."""
    return pruned(system=_SYSTEMS.get(code.scheme), code=_code_value(code), display=clean(code.meaning))


def _code_value(code: Code) -> str:
    """DICOM writes ISO/IEEE 11073-10101 as partition:term (CID 3031), FHIR as the context-free partition * 2^16 + term."""
    partition, _, term = code.value.partition(":")
    if code.scheme == "MDC" and partition.isdigit() and term.isdigit():
        return str((int(partition) << 16) + int(term))
    return code.value


def concept(*several: Element, text: str | None = None) -> Element:
    """A CodeableConcept: one meaning in several codings."""
    return pruned(coding=list(several), text=clean(text))


def coded(code: Code) -> Element:
    """A CodeableConcept of one DICOM code."""
    return concept(coding(code), text=code.meaning)


def quantity(value: float, unit: str | None) -> Element:
    """A number and its UCUM unit, the number as it is: rounding is for people."""
    unit = unit or "1"
    return pruned(unit=symbol(unit).strip(), system=_SYSTEMS["UCUM"], code=unit) | {"value": value}


def derived_uuid(*parts: str | int) -> uuid.UUID:
    """A version 5 UUID that is a function of `parts`."""
    return uuid.UUID(int=int(derive_uid("fhir", *parts).removeprefix("2.25.")))


def resource_key(resource: Mapping[str, Any]) -> str:
    """`Type/id`."""
    return f"{resource['resourceType']}/{resource['id']}"


def refer(resource: Mapping[str, Any]) -> Element:
    """A relative reference."""
    return {"reference": resource_key(resource)}


def with_references(resource: Mapping[str, Any], change: Callable[[str], Element]) -> Element:
    """A copy in which `change` has made every reference anew."""
    return {name: _changed(value, change) for name, value in resource.items()}


def _changed(node: object, change: Callable[[str], Element]) -> object:
    if isinstance(node, Mapping):
        return change(node["reference"]) if "reference" in node else with_references(node, change)
    return [_changed(value, change) for value in node] if isinstance(node, list) else node


def references_in(resource: Mapping[str, Any]) -> list[str]:
    """Every reference beneath, in order, each once."""
    found: dict[str, None] = {}

    def note(reference: str) -> Element:
        found[reference] = None
        return {}

    with_references(resource, note)
    return list(found)


def instant(at: datetime) -> str:
    """With seconds and a time zone, as an instant must have."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def day(value: str | None) -> str | None:
    """A DICOM date (PS3.5 6.2, DA) as a FHIR date; None for what is none.

    DICOM times of day come without a time zone, and FHIR's must have one, so a date is all that can be said.
    """
    try:
        return datetime.strptime(value or "", "%Y%m%d").date().isoformat()  # noqa: DTZ007 - a date has no time zone
    except ValueError:
        return None


def attachment(media_type: str, content: bytes, title: str) -> Element:
    """Data with its size in bytes and SHA-1, as R4 wants it: a checksum, no protection."""
    digest = hashlib.sha1(content, usedforsecurity=False).digest()
    data, checksum = (base64.b64encode(octets).decode("ascii") for octets in (content, digest))
    return {"contentType": media_type, "data": data, "size": len(content), "hash": checksum, "title": title}


_REPRESENTATIONS = ("ABC", "IDE", "SYL")
_REPRESENTATION_URL = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"


def human_names(value: str | None) -> list[Element]:
    """A PN value (PS3.5 6.2.1): a HumanName each for the alphabetic, ideographic and phonetic group that it has."""
    groups = (value or "").split("=")
    named = [_human_name(group, code) for group, code in zip(groups, _REPRESENTATIONS, strict=False)]
    found = [name for name in named if name]
    return found if len(groups) > 1 else [pruned(**{**name, "extension": None}) for name in found]


def _human_name(group: str, representation: str) -> Element:
    family, given, middle, prefix, suffix = [clean(part) for part in [*group.split("^"), *[""] * 5][:5]]
    parts = pruned(family=family, given=_listed(given, middle), prefix=_listed(prefix), suffix=_listed(suffix))
    if not parts:
        return {}
    return {"extension": [{"url": _REPRESENTATION_URL, "valueCode": representation}], **parts}


def _listed(*texts: str | None) -> Sequence[str]:
    return [text for text in texts if text]
