"""What DICOMweb's addresses name, who asked for it, and what caches may keep of it."""

import hashlib
from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from service.api.dependencies import Accept, Parts, Services, Uid
from service.api.fhir_answers import wado_root
from service.dicom_views import HeldObject

PREFIX = "/dicom-web"
STUDY = "/studies/{study_instance_uid}"
SERIES = STUDY + "/series/{series_instance_uid}"
INSTANCE = SERIES + "/instances/{sop_instance_uid}"
DICOM, OCTETS, DICOM_JSON, PDF = "application/dicom", "application/octet-stream", "application/dicom+json", "application/pdf"


def find_study(parts: Parts, study_instance_uid: Uid) -> Sequence[HeldObject]:
    """All objects of the study that a path names. Raises NotFound, Removed."""
    return parts.dicom.objects(study_instance_uid)


def find_series(parts: Parts, study_instance_uid: Uid, series_instance_uid: Uid) -> Sequence[HeldObject]:
    """All objects of the series that a path names. Raises NotFound, Removed."""
    return parts.dicom.objects(study_instance_uid, series_instance_uid)


def find_instance(parts: Parts, study_instance_uid: Uid, series_instance_uid: Uid, sop_instance_uid: Uid) -> HeldObject:
    """The instance that a path names. Raises NotFound, Removed."""
    return parts.dicom.objects(study_instance_uid, series_instance_uid, sop_instance_uid)[0]


Study = Annotated[Sequence[HeldObject], Depends(find_study)]
Series = Annotated[Sequence[HeldObject], Depends(find_series)]
Instance = Annotated[HeldObject, Depends(find_instance)]


def wanted_media(
    accept: Accept, named: Annotated[str | None, Query(alias="accept", max_length=1024, description="In place of Accept.")] = None
) -> str | None:
    """The query's `accept` before the header (PS3.18 8.3.3.1), for who cannot set one."""
    # A plus sign that was not escaped arrives as a blank.
    return accept if named is None else named.replace("dicom json", "dicom+json")


WantedMedia = Annotated[str | None, Depends(wanted_media)]


def url_of(request: Request, study: str, series: str | None = None, instance: str | None = None) -> str:
    """The address of a study, a series or an instance, at the host that was asked."""
    names = (("studies", study), ("series", series), ("instances", instance))
    return wado_root(request) + "".join(f"/{kind}/{uid}" for kind, uid in names if uid is not None)


def url_of_object(request: Request, held: HeldObject) -> str:
    """The address of one object."""
    attributes = held.attributes
    return url_of(request, attributes.study_instance_uid, attributes.series_instance_uid, attributes.sop_instance_uid)


def cache_headers(objects: Sequence[HeldObject], form: str) -> dict[str, str]:
    """A browser may keep the answer and must ask before it shows it: a correction changes what is under the same UIDs.

    `form` is all else that the bytes depend on. The tag is weak, for a multipart boundary is another one each time.
    """
    told = "\n".join([form, *(held.version for held in objects)])
    return {
        "ETag": f'W/"{hashlib.sha256(told.encode()).hexdigest()[:32]}"',
        "Cache-Control": "private, no-cache",
        "Vary": "Accept, Authorization, Cookie",
    }


def unchanged(request: Request, headers: dict[str, str]) -> Response | None:
    """304 for who has the same already (RFC 9110 13.1.2)."""
    known = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    return Response(status_code=304, headers=headers) if headers["ETag"] in known or "*" in known else None


def record(parts: Services, actor: str, objects: Sequence[HeldObject], what: str = "instance") -> None:
    """One entry a request: who was given what."""
    attributes = objects[0].attributes
    subjects = {
        "study": attributes.study_instance_uid,
        "series": attributes.series_instance_uid,
        "instance": attributes.sop_instance_uid,
    }
    parts.audit.append(actor=actor, action=f"{what}_retrieved", subject=subjects[what])
