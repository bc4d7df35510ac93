"""Frames (PS3.18 10.4.1.1.6): as they are stored, byte for byte, or uncompressed where that agrees with the metadata."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from service.adapters.stored_frames import StoredFrames, open_frames
from service.adapters.transcoding import decoded_frame, keeps_its_colour
from service.api.dependencies import Parts, Services, Viewer
from service.api.problems import Problem
from service.api.schemas import problem_responses
from service.api.streams import ClosedStream
from service.core.dicom_file import EXPLICIT_LITTLE_ENDIAN
from service.dicom_views import HeldObject
from service.dicomweb import multipart
from service.dicomweb.forms import Form, choose_form
from service.dicomweb.multipart import Part
from service.dicomweb.objects import (
    INSTANCE,
    OCTETS,
    PREFIX,
    Instance,
    WantedMedia,
    cache_headers,
    record,
    unchanged,
    url_of_object,
)

_SYNTAX = "1.2.840.10008.1.2"
#: PS3.18 Table 8.7.3-5; a syntax that has no type of its own is given as octets.
MEDIA_TYPE_OF_SYNTAX = {
    f"{_SYNTAX}.4.50": "image/jpeg",
    f"{_SYNTAX}.4.51": "image/jpeg",
    f"{_SYNTAX}.4.57": "image/jpeg",
    f"{_SYNTAX}.4.70": "image/jpeg",
    f"{_SYNTAX}.5": "image/dicom-rle",
    f"{_SYNTAX}.4.80": "image/jls",
    f"{_SYNTAX}.4.81": "image/jls",
    f"{_SYNTAX}.4.90": "image/jp2",
    f"{_SYNTAX}.4.91": "image/jp2",
    f"{_SYNTAX}.4.92": "image/jpx",
    f"{_SYNTAX}.4.93": "image/jpx",
    f"{_SYNTAX}.4.201": "image/jphc",
    f"{_SYNTAX}.4.202": "image/jphc",
    f"{_SYNTAX}.4.203": "image/jphc",
}
router = APIRouter(prefix=PREFIX, tags=["dicomweb"], responses=problem_responses(401, 403, 404, 406, 410, 422, 429, 503))
FrameList = Annotated[str, Path(pattern=r"^[0-9]+(,[0-9]+)*$", max_length=4096, description="Frame numbers from 1, with commas.")]
_FRAMES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"multipart/related": {}, OCTETS: {}}, "description": "Frames as they are stored, or uncompressed"}
}


@router.get(INSTANCE + "/frames", responses=_FRAMES, response_class=Response)
def retrieve_pixel_data(request: Request, parts: Parts, principal: Viewer, instance: Instance, accept: WantedMedia) -> Response:
    """Every frame, a part each: where the metadata say that the pixels are."""
    return _retrieve(request, parts, principal.name, instance, accept, None)


@router.get(INSTANCE + "/frames/{frames}", responses=_FRAMES, response_class=Response)
def retrieve_frames(
    request: Request, parts: Parts, principal: Viewer, instance: Instance, frames: FrameList, accept: WantedMedia
) -> Response:
    """Compressed frames with their transfer syntax, others as octets in Explicit VR Little Endian."""
    return _retrieve(request, parts, principal.name, instance, accept, frames)


def numbers_of(listed: str | None, number_of_frames: int) -> Sequence[int]:
    """Frame numbers that exist, all of them without a list. Raises Problem (404)."""
    if listed is None:
        return range(1, number_of_frames + 1)
    numbers = [int(number) for number in listed.split(",")]
    if any(not 1 <= number <= number_of_frames for number in numbers):
        raise Problem(404, f"The instance has frames 1 to {number_of_frames}.", reason="no_such_frame")
    return numbers


def _retrieve(
    request: Request, parts: Services, actor: str, instance: HeldObject, accept: str | None, listed: str | None
) -> Response:
    with ExitStack() as resources:
        path = resources.enter_context(parts.dicom.open(instance))
        stored = resources.enter_context(open_frames(path))
        numbers = numbers_of(listed, stored.number_of_frames)
        form, is_single = choose_form(accept, _forms(stored), may_be_single=len(numbers) == 1)
        read = stored.read
        if form.transfer_syntax_uid != stored.transfer_syntax_uid:
            read = decoded_frame(resources.enter_context(parts.reader.open(path)), stored.pixel_format)
        # The first frame is read before anything is answered, so that a broken file is a problem and not a torn body.
        first = read(numbers[0])
        record(parts, actor, [instance])
        headers = cache_headers([instance], f"{form.media_type}, {is_single}, {listed}")
        if (known := unchanged(request, headers)) is not None:
            return known
        if is_single:
            return Response(first, media_type=form.media_type, headers=headers)
        boundary = multipart.new_boundary()
        address = f"{url_of_object(request, instance)}/frames"
        body = multipart.write(_parts(read, numbers, first, form.media_type, address), boundary)
        return ClosedStream(
            _closing(body, resources.pop_all()),
            media_type=multipart.content_type(form.part_type, boundary),
            headers=headers,
        )


def _forms(stored: StoredFrames) -> Sequence[Form]:
    """Octets without a transfer syntax mean uncompressed ones (PS3.18 8.7.3.5.2), which compressed frames are not."""
    syntax = stored.transfer_syntax_uid
    if stored.is_native:
        return [Form(OCTETS, syntax)]
    kind = MEDIA_TYPE_OF_SYNTAX.get(syntax, OCTETS)
    forms = [Form(kind, syntax, is_named_only=kind == OCTETS), Form(OCTETS, syntax, is_named_only=True, answered_as=kind)]
    return [*forms, Form(OCTETS, EXPLICIT_LITTLE_ENDIAN)] if keeps_its_colour(stored.pixel_format) else forms


def _parts(read: Callable[[int], bytes], numbers: Sequence[int], first: bytes, media_type: str, address: str) -> Iterator[Part]:
    yield Part(media_type, [first], f"{address}/{numbers[0]}")
    for number in numbers[1:]:
        yield Part(media_type, [read(number)], f"{address}/{number}")


def _closing(body: Iterator[bytes], resources: ExitStack) -> Iterator[bytes]:
    with resources:
        yield from body
