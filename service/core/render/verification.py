"""Persons in DICOM documents: who verified one (PS3.3 C.17.2), and whose word a number is (TID 1002 and 1003)."""

from datetime import datetime

import highdicom.sr as hd
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from service.core import codes
from service.core.findings import Amendment
from service.core.render.document import coded
from service.core.report import Act, Report

#: VerifyingOrganization is of type 1.
_NO_ORGANIZATION = "Not given"
_VERIFYING_OBSERVER_NAME = Tag(0x0040, 0xA075)
_PERSON_NAME = Tag(0x0040, 0xA123)
#: Characters of one component group (PS3.5 6.2, PN).
_LONGEST_NAME = 64


def verify(document: Dataset, report: Report) -> None:
    """VERIFIED by whoever signed the report, or withdrew a signed one; else UNVERIFIED. At the time of the report."""
    who = _verifier(report)
    document.VerificationFlag = "UNVERIFIED" if who is None else "VERIFIED"
    if who is None:
        return
    name, at = who
    observer = Dataset()
    observer.add(_person_name(_VERIFYING_OBSERVER_NAME, name))
    observer.VerifyingObserverIdentificationCodeSequence = []
    observer.VerifyingOrganization = report.signed_for or _NO_ORGANIZATION
    observer.VerificationDateTime = f"{at.astimezone():%Y%m%d%H%M%S.%f%z}"
    document.VerifyingObserverSequence = [observer]


def is_verified(report: Report) -> bool:
    """Whether a person answers for the whole document."""
    return _verifier(report) is not None


def person_context(report: Report) -> hd.ObserverContext | None:
    """TID 1003 of the person who made this version of another one; None where the service composed it."""
    return (
        None
        if report.act is None
        else hd.ObserverContext(observer_type=coded(codes.PERSON), observer_identifying_attributes=_Person(report.act))
    )


def observed_by(amendment: Amendment) -> list[hd.ContentItem]:
    """TID 1002 and 1003, to stand beneath a number that is a person's and not the device's."""
    context = hd.RelationshipTypeValues.HAS_OBS_CONTEXT
    person = hd.CodeContentItem(name=coded(codes.OBSERVER_TYPE), value=coded(codes.PERSON), relationship_type=context)
    return [person, _named(amendment.by)]


def _verifier(report: Report) -> tuple[str, datetime] | None:
    if report.is_signed and report.signed_by and report.signed_at:
        return report.signed_by, report.signed_at
    return (report.act.by, report.act.at) if report.is_settled and report.act is not None else None


class _Person(hd.PersonObserverIdentifyingAttributes):
    """TID 1003 with a name as it is read: highdicom's own wants one in components, and warns otherwise."""

    def __init__(self, act: Act) -> None:
        super().__init__(name="^")
        self[0] = _named(act.by)


def _named(name: str) -> hd.PnameContentItem:
    item = hd.PnameContentItem(
        name=coded(codes.PERSON_OBSERVER_NAME), value="^", relationship_type=hd.RelationshipTypeValues.HAS_OBS_CONTEXT
    )
    item[_PERSON_NAME] = _person_name(_PERSON_NAME, name)
    return item


def _person_name(tag: BaseTag, name: str) -> DataElement:
    """All of it in the first component, for what is family and what given the account does not say."""
    plain = "".join(" " if character in "^=\\" else character for character in name)[:_LONGEST_NAME].strip()
    return DataElement(tag, "PN", plain, validation_mode=config.IGNORE)
