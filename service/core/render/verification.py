"""Persons in DICOM documents: who verified one (PS3.3 C.17.2), and whose word a number is (TID 1002 and 1003)."""

import highdicom.sr as hd
from pydicom.dataset import Dataset

from service.core import codes
from service.core.findings import Amendment
from service.core.render.document import coded
from service.core.report import Report

#: VerifyingOrganization is of type 1.
_NO_ORGANIZATION = "Not given"
#: Characters of one component group (PS3.5 6.2, PN).
_LONGEST_NAME = 64


def is_verified(report: Report) -> bool:
    """Whether a person answers for the whole document: who signed the report, or withdrew a signed one."""
    return bool(report.signed_by) if report.is_signed else report.is_settled and report.act is not None


def verify(document: Dataset, report: Report) -> None:
    """VerificationFlag, and by whom and when: at the time of the report and not of the clock."""
    document.VerificationFlag = "VERIFIED" if is_verified(report) else "UNVERIFIED"
    if not is_verified(report):
        return
    act = report.act
    name, at = (report.signed_by, report.signed_at) if act is None else (act.by, act.at)
    observer = Dataset()
    observer.VerifyingObserverName = person_name(name or "")
    observer.VerifyingObserverIdentificationCodeSequence = []
    observer.VerifyingOrganization = (act and act.organization) or _NO_ORGANIZATION
    observer.VerificationDateTime = f"{(at or report.created_at).astimezone():%Y%m%d%H%M%S.%f%z}"
    document.VerifyingObserverSequence = [observer]


def person_context(report: Report) -> hd.ObserverContext | None:
    """TID 1003 of the person who made this version of another one; None where the service composed it."""
    if report.act is None:
        return None
    person = hd.PersonObserverIdentifyingAttributes(name=person_name(report.act.by), organization_name=report.act.organization)
    return hd.ObserverContext(observer_type=coded(codes.PERSON), observer_identifying_attributes=person)


def observed_by(amendment: Amendment) -> list[hd.ContentItem]:
    """TID 1002 and 1003, to stand beneath a number that is a person's and not the device's."""
    context = hd.RelationshipTypeValues.HAS_OBS_CONTEXT
    kind = hd.CodeContentItem(name=coded(codes.OBSERVER_TYPE), value=coded(codes.PERSON), relationship_type=context)
    name = hd.PnameContentItem(name=coded(codes.PERSON_OBSERVER_NAME), value=person_name(amendment.by), relationship_type=context)
    return [kind, name]


def person_name(name: str) -> str:
    """PN: all of it in the first component, for which part is the family's the account does not say."""
    plain = "".join(" " if character in "^=\\" else character for character in name)
    return plain[: _LONGEST_NAME - 1].strip() + "^"
