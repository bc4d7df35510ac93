"""WADO-RS (PS3.18 10.4): studies, series and instances as they are stored, or in Explicit VR Little Endian."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from fastapi import APIRouter, Request, Response

from service.adapters.transcoding import can_be_made_explicit, explicit_file
from service.api.dependencies import Parts, Services, Viewer
from service.api.schemas import problem_responses
from service.api.streams import ClosedStream
from service.core.dicom_file import EXPLICIT_LITTLE_ENDIAN
from service.dicom_views import HeldObject
from service.dicomweb import multipart
from service.dicomweb.forms import Form, choose_form
from service.dicomweb.multipart import Part
from service.dicomweb.objects import (
    DICOM,
    INSTANCE,
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

_PIECE_BYTES = 1 << 18

router = APIRouter(
    prefix=PREFIX,
    tags=["dicomweb"],
    responses={
        200: {"content": {"multipart/related": {}}, "description": "Objects as they are stored, or in Explicit VR Little Endian"},
        **problem_responses(401, 403, 404, 406, 410, 422, 429, 503),
    },
    default_response_class=Response,
)


@router.get(STUDY)
def retrieve_study(request: Request, parts: Parts, principal: Viewer, objects: Study, accept: WantedMedia) -> Response:
    """Every object of the study: what came, and what we made of it."""
    return _retrieve_all(request, parts, principal.name, objects, accept, "study")


@router.get(SERIES)
def retrieve_series(request: Request, parts: Parts, principal: Viewer, objects: Series, accept: WantedMedia) -> Response:
    """Every object of the series."""
    return _retrieve_all(request, parts, principal.name, objects, accept, "series")


@router.get(INSTANCE, responses={200: {"content": {DICOM: {}}}})
def retrieve_instance(request: Request, parts: Parts, principal: Viewer, instance: Instance, accept: WantedMedia) -> Response:
    """The object as it is stored, byte for byte, unless another form is asked for."""
    form, is_single = choose_form(accept, _forms(instance), may_be_single=True)
    headers = cache_headers([instance], f"{form.media_type}, {is_single}")
    with ExitStack() as resources:
        length, content = _content(parts, instance, form, resources)
        record(parts, principal.name, [instance])
        if (known := unchanged(request, headers)) is not None:
            return known
        body = _closing(content, resources.pop_all())
        if is_single:
            return ClosedStream(body, media_type=form.media_type, headers={**headers, "Content-Length": str(length)})
        boundary = multipart.new_boundary()
        parts_of_body = [Part(form.media_type, body, url_of_object(request, instance))]
        return _multipart(multipart.write(parts_of_body, boundary), boundary, headers)


def _retrieve_all(
    request: Request, parts: Services, actor: str, objects: Sequence[HeldObject], accept: str | None, what: str
) -> Response:
    """All are looked for before anything is answered; one file after the other is opened then."""
    forms = [choose_form(accept, _forms(held), may_be_single=False)[0] for held in objects]
    for held in objects:
        if held.storage_key is not None:
            parts.store.path(held.storage_key)
    record(parts, actor, objects, what)
    headers = cache_headers(objects, "".join(form.media_type for form in forms))
    if (known := unchanged(request, headers)) is not None:
        return known

    def each() -> Iterator[Part]:
        for held, form in zip(objects, forms, strict=True):
            with ExitStack() as resources:
                _, content = _content(parts, held, form, resources)
                yield Part(form.media_type, content, url_of_object(request, held))

    boundary = multipart.new_boundary()
    return _multipart(multipart.write(each(), boundary), boundary, headers)


def _multipart(body: Iterator[bytes], boundary: str, headers: dict[str, str]) -> Response:
    return ClosedStream(body, media_type=multipart.content_type(DICOM, boundary), headers=headers)


def _forms(held: HeldObject) -> Sequence[Form]:
    stored = Form(DICOM, held.attributes.transfer_syntax_uid)
    return [stored, Form(DICOM, EXPLICIT_LITTLE_ENDIAN)] if can_be_made_explicit(held.attributes) else [stored]


def _content(parts: Services, held: HeldObject, form: Form, resources: ExitStack) -> tuple[int, Iterator[bytes]]:
    """How many bytes, and the bytes; a broken file is an error here, before anything is answered."""
    path = resources.enter_context(parts.dicom.open(held))
    if form.transfer_syntax_uid != held.attributes.transfer_syntax_uid:
        return resources.enter_context(explicit_file(path, parts.reader))
    return path.stat().st_size, _pieces(path)


def _closing(body: Iterator[bytes], resources: ExitStack) -> Iterator[bytes]:
    with resources:
        yield from body


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
