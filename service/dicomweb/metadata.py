"""Metadata and bulk data (PS3.18 10.4.1.1.2, 10.4.1.1.5): all attributes as DICOM JSON, large values by address."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from service.adapters.stored_metadata import PLACE, encode_json, read_attributes_json, read_bulk_value
from service.api.dependencies import Parts, Services, Viewer
from service.api.negotiation import choose
from service.api.schemas import problem_responses
from service.api.streams import ClosedStream
from service.core.dicom_json import Element
from service.core.qido_answer import answer
from service.core.qido_attributes import Level
from service.core.qido_query import read_search
from service.dicom_views import HeldObject
from service.dicomweb import multipart
from service.dicomweb.forms import Form, choose_form
from service.dicomweb.objects import (
    DICOM_JSON,
    INSTANCE,
    OCTETS,
    PREFIX,
    SERIES,
    STUDY,
    Instance,
    Series,
    Study,
    WantedMedia,
    cache_headers,
    record,
    unchanged,
    url_of_object,
)
from service.errors import InputRejected

router = APIRouter(prefix=PREFIX, tags=["dicomweb"], responses=problem_responses(401, 403, 404, 406, 410, 422, 429, 503))
_EVERYTHING = read_search(Level.INSTANCE, [("includefield", "all")])
_JSON: dict[int | str, dict[str, Any]] = {200: {"content": {DICOM_JSON: {}}, "description": "DICOM JSON (PS3.18 F)"}}
Place = Annotated[str, Path(pattern=PLACE, max_length=400, description="A tag; within sequences tag/item/tag.")]


@router.get(f"{STUDY}/metadata", responses=_JSON, response_class=Response)
def retrieve_study_metadata(request: Request, parts: Parts, principal: Viewer, objects: Study, accept: WantedMedia) -> Response:
    """Every attribute of every object of the study."""
    return _tell(request, parts, principal.name, objects, accept, "study")


@router.get(f"{SERIES}/metadata", responses=_JSON, response_class=Response)
def retrieve_series_metadata(request: Request, parts: Parts, principal: Viewer, objects: Series, accept: WantedMedia) -> Response:
    """Every attribute of every object of the series."""
    return _tell(request, parts, principal.name, objects, accept, "series")


@router.get(f"{INSTANCE}/metadata", responses=_JSON, response_class=Response)
def retrieve_metadata(request: Request, parts: Parts, principal: Viewer, instance: Instance, accept: WantedMedia) -> Response:
    """Every attribute; for the pixels the address of the frames."""
    return _tell(request, parts, principal.name, [instance], accept, "instance")


@router.get(
    INSTANCE + "/bulkdata/{place:path}",
    responses={200: {"content": {"multipart/related": {}, OCTETS: {}}, "description": "One binary value"}},
    response_class=Response,
)
def retrieve_bulk_data(
    request: Request, parts: Parts, principal: Viewer, instance: Instance, accept: WantedMedia, place: Place
) -> Response:
    """A value that the metadata give by its address, as the file has it."""
    form, is_single = choose_form(accept, [Form(OCTETS, instance.attributes.transfer_syntax_uid)], may_be_single=True)
    headers = cache_headers([instance], f"{place}, {is_single}")
    with parts.dicom.open(instance) as path:
        value = read_bulk_value(path, place)
    record(parts, principal.name, [instance])
    if (known := unchanged(request, headers)) is not None:
        return known
    if is_single:
        return Response(value, media_type=OCTETS, headers=headers)
    boundary = multipart.new_boundary()
    body = multipart.write([multipart.Part(form.kind, [value], str(request.url.replace(query="")))], boundary)
    return ClosedStream(body, media_type=multipart.content_type(OCTETS, boundary), headers=headers)


def _tell(
    request: Request, parts: Services, actor: str, objects: Sequence[HeldObject], accept: str | None, what: str
) -> Response:
    media_type = choose(accept, (DICOM_JSON, "application/json"))
    headers = cache_headers(objects, media_type)
    # The first is read before anything is answered, so that a broken file is a problem and not a torn body.
    first = _read(request, parts, objects[0], is_alone=len(objects) == 1)
    record(parts, actor, objects, what)
    if (known := unchanged(request, headers)) is not None:
        return known

    def body() -> Iterator[bytes]:
        yield b"[" + first
        for held in objects[1:]:
            yield b"," + _read(request, parts, held, is_alone=False)
        yield b"]"

    return ClosedStream(body(), media_type=media_type, headers=headers)


def _read(request: Request, parts: Services, held: HeldObject, *, is_alone: bool) -> bytes:
    """Among others, one that cannot be read is told as a search would: a viewer shall see the rest."""
    address = url_of_object(request, held)
    try:
        with parts.dicom.open(held) as path:
            return encode_json(read_attributes_json(path, address=address))
    except InputRejected:
        if is_alone:
            raise
        return encode_json(_as_found(held, address))


def _as_found(held: HeldObject, address: str) -> dict[str, Element]:
    """What is known of an object without its file."""
    attributes = asdict(held.attributes)
    study = {**attributes, **attributes["identity"]}
    derived = {"AvailableTransferSyntaxUID": [held.attributes.transfer_syntax_uid]}
    return answer(_EVERYTHING, study, attributes, derived, given=None, url=lambda *_: address)
