"""Rendered resources and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.4): JPEG or PNG, decoded where a hostile file does no harm."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Request, Response

from service.adapters.stored_frames import StoredFrames, open_frames
from service.adapters.stored_metadata import read_bulk_value
from service.api.dependencies import Parts, Services, Viewer
from service.api.negotiation import choose, read_accept
from service.api.preferences import MediaRange
from service.api.problems import Problem
from service.api.schemas import problem_responses
from service.api.streams import ClosedStream
from service.core.cine import Pixels
from service.core.native_samples import mask_picture
from service.dicom_views import HeldObject
from service.dicomweb import multipart
from service.dicomweb.frames import FrameList, numbers_of
from service.dicomweb.multipart import Part
from service.dicomweb.objects import (
    INSTANCE,
    PDF,
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
from service.dicomweb.views import PICTURE_TYPES, View, encode, read_thumbnail_view, read_view

_ENCAPSULATED_PDF, _ENCAPSULATED_DOCUMENT = "1.2.840.10008.5.1.4.1.1.104.1", "00420011"
#: Beside other images pictures of masks say nothing; who asks for them alone gets them.
_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
_PICTURES: dict[int | str, dict[str, Any]] = {
    200: {"content": {**{kind: {} for kind in PICTURE_TYPES}, "multipart/related": {}}, "description": "Pictures"}
}
router = APIRouter(prefix=PREFIX, tags=["dicomweb"], responses=problem_responses(400, 401, 403, 404, 406, 410, 422, 429, 503))
Shown = Annotated[View, Depends(read_view)]
Small = Annotated[View, Depends(read_thumbnail_view)]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who asks, how, and how the picture is to be shown."""

    request: Request
    parts: Services
    actor: str
    accept: str | None
    view: View
    what: str = "instance"


class _Pictured(Protocol):
    """What pictures are made of: a cine, or masks."""

    @property
    def number_of_frames(self) -> int: ...
    @property
    def is_colour(self) -> bool: ...
    @property
    def picture(self) -> Callable[[int], Pixels]: ...


@dataclass(frozen=True, slots=True)
class _Masks:
    """Frames of one bit a pixel, white on black; no codec runs, so this needs no decoder's process."""

    stored: StoredFrames
    is_colour: bool = False

    @property
    def number_of_frames(self) -> int:
        """As the header says."""
        return self.stored.number_of_frames

    @property
    def picture(self) -> Callable[[int], Pixels]:
        """By frame number, from 1."""
        form = self.stored.pixel_format
        return lambda number: mask_picture(self.stored.read(number), form.rows, form.columns)


@router.get(INSTANCE + "/frames/{frames}/rendered", responses=_PICTURES, response_class=Response)
def retrieve_rendered_frames(
    request: Request, parts: Parts, principal: Viewer, instance: Instance, frames: FrameList, accept: WantedMedia, view: Shown
) -> Response:
    """One frame as a picture; several as a picture a part."""
    return _pictures(_Asked(request, parts, principal.name, accept, view), [instance], frames)


@router.get(INSTANCE + "/rendered", responses={200: {"content": {**_PICTURES[200]["content"], PDF: {}}}}, response_class=Response)
def retrieve_rendered_instance(
    request: Request, parts: Parts, principal: Viewer, instance: Instance, accept: WantedMedia, view: Shown
) -> Response:
    """The first frame as a picture, or as multipart every frame; an encapsulated PDF as PDF."""
    asked = _Asked(request, parts, principal.name, accept, view)
    if instance.attributes.sop_class_uid == _ENCAPSULATED_PDF:
        return _pdf(asked, instance)
    return _pictures(asked, [instance], None)


@router.get(SERIES + "/rendered", responses=_PICTURES, response_class=Response)
def retrieve_rendered_series(
    request: Request, parts: Parts, principal: Viewer, objects: Series, accept: WantedMedia, view: Shown
) -> Response:
    """The first frame of each image, as multipart; of a single image as it is."""
    return _pictures(_Asked(request, parts, principal.name, accept, view, "series"), objects, "1")


@router.get(STUDY + "/rendered", responses=_PICTURES, response_class=Response)
def retrieve_rendered_study(
    request: Request, parts: Parts, principal: Viewer, objects: Study, accept: WantedMedia, view: Shown
) -> Response:
    """The first frame of each image, as multipart; of a single image as it is."""
    return _pictures(_Asked(request, parts, principal.name, accept, view, "study"), objects, "1")


@router.get(STUDY + "/thumbnail", responses=_PICTURES, response_class=Response)
def retrieve_thumbnail_of_study(
    request: Request, parts: Parts, principal: Viewer, objects: Study, accept: WantedMedia, view: Small
) -> Response:
    """A small picture of the first image."""
    return _pictures(_Asked(request, parts, principal.name, accept, view, "study"), _images(objects)[:1], "1")


@router.get(SERIES + "/thumbnail", responses=_PICTURES, response_class=Response)
def retrieve_thumbnail_of_series(
    request: Request, parts: Parts, principal: Viewer, objects: Series, accept: WantedMedia, view: Small
) -> Response:
    """A small picture of the first image."""
    return _pictures(_Asked(request, parts, principal.name, accept, view, "series"), _images(objects)[:1], "1")


@router.get(INSTANCE + "/thumbnail", responses=_PICTURES, response_class=Response)
def retrieve_thumbnail_of_instance(
    request: Request, parts: Parts, principal: Viewer, instance: Instance, accept: WantedMedia, view: Small
) -> Response:
    """A small picture of the first frame."""
    return _pictures(_Asked(request, parts, principal.name, accept, view), [instance], "1")


@router.get(INSTANCE + "/frames/{frames}/thumbnail", responses=_PICTURES, response_class=Response)
def retrieve_thumbnail_of_frames(
    request: Request, parts: Parts, principal: Viewer, instance: Instance, frames: FrameList, accept: WantedMedia, view: Small
) -> Response:
    """A small picture of a frame."""
    return _pictures(_Asked(request, parts, principal.name, accept, view), [instance], frames)


def _pictures(asked: _Asked, objects: Sequence[HeldObject], listed: str | None) -> Response:
    """Pictures of frames of images; without a list a single picture is of the first, multipart of them all."""
    images = _images(objects)
    with ExitStack() as resources:
        first = resources.enter_context(_opened(asked.parts, images[0]))
        is_one = len(images) == 1 and listed is not None and "," not in listed
        media_type, is_multipart = _choose(asked.accept, may_be_single=is_one or (listed is None and len(images) == 1))
        numbers = numbers_of(listed if is_multipart or listed is not None else "1", first.number_of_frames)
        picture = _encoded(asked, images[0], first, numbers[0], media_type)
        record(asked.parts, asked.actor, images, asked.what)
        headers = cache_headers(images, f"{media_type}, {is_multipart}, {listed}, {asked.view}")
        if (known := unchanged(asked.request, headers)) is not None:
            return known
        if not is_multipart:
            return Response(picture, media_type=media_type, headers=headers)
        parts = _parts(asked, images, numbers, first, picture, media_type, resources.pop_all())
        boundary = multipart.new_boundary()
        return ClosedStream(
            multipart.write(parts, boundary), media_type=multipart.content_type(media_type, boundary), headers=headers
        )


def _parts(
    asked: _Asked,
    images: Sequence[HeldObject],
    numbers: Sequence[int],
    first: _Pictured,
    picture: bytes,
    media_type: str,
    resources: ExitStack,
) -> Iterator[Part]:
    """The picture that was made already, the other frames of its image, then of every other image the first frame."""
    address = f"{url_of_object(asked.request, images[0])}/frames"
    with resources:
        yield Part(media_type, [picture], f"{address}/{numbers[0]}/rendered")
        for number in numbers[1:]:
            content = _encoded(asked, images[0], first, number, media_type)
            yield Part(media_type, [content], f"{address}/{number}/rendered")
    for image in images[1:]:
        with ExitStack() as opened:
            cine = opened.enter_context(_opened(asked.parts, image))
            content = _encoded(asked, image, cine, 1, media_type)
        yield Part(media_type, [content], f"{url_of_object(asked.request, image)}/frames/1/rendered")


def _encoded(asked: _Asked, image: HeldObject, shown: _Pictured, number: int, media_type: str) -> bytes:
    return encode(
        shown.picture(number), asked.view, media_type, bits_stored=image.attributes.bits_stored, is_colour=shown.is_colour
    )


@contextmanager
def _opened(parts: Services, held: HeldObject) -> Iterator[_Pictured]:
    with parts.dicom.open(held) as path:
        if held.attributes.bits_allocated == 1:
            with open_frames(path) as stored:
                yield _Masks(stored)
        else:
            with parts.reader.open(path) as cine:
                yield cine


def _images(objects: Sequence[HeldObject]) -> Sequence[HeldObject]:
    """Those that a picture can be made of. Raises Problem (406) when there is none."""
    shown = [held for held in objects if held.attributes.has_pixel_data]
    images = [held for held in shown if held.attributes.sop_class_uid != _SEGMENTATION] or shown
    if not images:
        raise Problem(406, "There is no picture of this.", reason="no_picture")
    return images


def _choose(accept: str | None, *, may_be_single: bool) -> tuple[str, bool]:
    """A type of picture, and whether it goes as multipart. Raises Problem (406)."""
    for wanted in read_accept(accept):
        is_multipart = wanted.kind in ("multipart/related", "multipart/*") or (wanted.kind == "*/*" and not may_be_single)
        if not is_multipart and not may_be_single:
            continue
        named = MediaRange(wanted.parameters.get("type", "*/*").lower()) if is_multipart else wanted
        for media_type in PICTURE_TYPES:
            if named.covers(media_type):
                return media_type, is_multipart
    available = [f'multipart/related; type="{kind}"' for kind in PICTURE_TYPES]
    raise Problem(
        406, "Pictures come in other forms only.", extensions={"available": [*PICTURE_TYPES * may_be_single, *available]}
    )


def _pdf(asked: _Asked, instance: HeldObject) -> Response:
    """The document as it was encapsulated, without the padding to an even length."""
    media_type = choose(asked.accept, (PDF,))
    with asked.parts.dicom.open(instance) as path:
        content = read_bulk_value(path, _ENCAPSULATED_DOCUMENT).removesuffix(b"\0")
    record(asked.parts, asked.actor, [instance])
    headers = cache_headers([instance], media_type)
    return unchanged(asked.request, headers) or Response(content, media_type=media_type, headers=headers)
