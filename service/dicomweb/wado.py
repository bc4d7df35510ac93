"""WADO-RS (PS3.18 10.4): an instance and its frames as they are stored, its attributes, and a frame as a picture."""

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from PIL import Image

from service.adapters.stored_frames import StoredFrames, open_frames, read_attributes_json
from service.api.dependencies import Accept, Parts, Services, Uid, Viewer
from service.api.negotiation import MediaRange, choose, read_accept
from service.api.problems import Problem
from service.api.schemas import problem_responses
from service.core.cine import Pixels
from service.dicomweb import multipart
from service.dicomweb.multipart import Part
from service.ports import StoredInstance

DICOM, OCTETS, DICOM_JSON = "application/dicom", "application/octet-stream", "application/dicom+json"
PICTURE_TYPES = ("image/jpeg", "image/png")
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
_PIECE_BYTES = 1 << 18

router = APIRouter(prefix="/dicom-web", tags=["dicomweb"], responses=problem_responses(401, 403, 404, 406, 422, 429, 503))
INSTANCE = "/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}"
FrameList = Annotated[str, Path(pattern=r"^[0-9]+(,[0-9]+)*$", max_length=4096, description="Frame numbers from 1, with commas.")]
FrameNumber = Annotated[str, Path(pattern=r"^[0-9]{1,10}$", description="A frame number from 1.")]


def find_instance(parts: Parts, study_instance_uid: Uid, series_instance_uid: Uid, sop_instance_uid: Uid) -> StoredInstance:
    """The instance that a path names. Raises NotFound."""
    return parts.studies.instance(study_instance_uid, series_instance_uid, sop_instance_uid)


Instance = Annotated[StoredInstance, Depends(find_instance)]


@router.get(INSTANCE, responses={200: {"content": {"multipart/related": {}, DICOM: {}}, "description": "As it is stored"}})
def retrieve_instance(parts: Parts, principal: Viewer, instance: Instance, accept: Accept) -> Response:
    """The object as it is stored, byte for byte."""
    syntax = instance.attributes.transfer_syntax_uid
    is_single = _choose_form(accept, _Offer({DICOM: False}, syntax, single=DICOM))
    path = parts.store.path(instance.storage_key)
    _record(parts, principal.name, instance)
    media_type = f"{DICOM}; transfer-syntax={syntax}"
    if is_single:
        return StreamingResponse(_pieces(path), media_type=media_type, headers={"Content-Length": str(path.stat().st_size)})
    boundary = multipart.new_boundary()
    body = multipart.write([Part(media_type, _pieces(path))], boundary)
    return StreamingResponse(body, media_type=multipart.content_type(DICOM, boundary))


@router.get(f"{INSTANCE}/metadata", responses={200: {"content": {DICOM_JSON: {}}, "description": "DICOM JSON (PS3.18 F)"}})
def retrieve_metadata(request: Request, parts: Parts, principal: Viewer, instance: Instance, accept: Accept) -> Response:
    """Every attribute; for the pixels the address of the frames."""
    media_type = choose(accept, (DICOM_JSON, "application/json"))
    frames_uri = f"{str(request.url.replace(query='')).removesuffix('/metadata')}/frames"
    found = read_attributes_json(parts.store.path(instance.storage_key), frames_uri=frames_uri)
    _record(parts, principal.name, instance)
    return JSONResponse([found], media_type=media_type)


@router.get(
    INSTANCE + "/frames/{frames}",
    responses={200: {"content": {"multipart/related": {}}, "description": "Frames as they are stored"}},
)
def retrieve_frames(parts: Parts, principal: Viewer, instance: Instance, frames: FrameList, accept: Accept) -> Response:
    """Compressed frames with their transfer syntax, others as octets in Explicit VR Little Endian."""
    with ExitStack() as resources:
        stored = resources.enter_context(open_frames(parts.store.path(instance.storage_key)))
        numbers = _numbers(frames, stored.number_of_frames)
        kind = OCTETS if stored.is_native else MEDIA_TYPE_OF_SYNTAX.get(stored.transfer_syntax_uid, OCTETS)
        is_single = _choose_form(accept, _offer(stored, kind, single=len(numbers) == 1))
        media_type = f"{kind}; transfer-syntax={stored.transfer_syntax_uid}"
        # The first frame is read before anything is answered, so that a broken file is a problem and not a torn body.
        first = stored.read(numbers[0])
        _record(parts, principal.name, instance)
        if is_single:
            return Response(first, media_type=media_type)
        boundary = multipart.new_boundary()
        body = multipart.write(_frame_parts(stored, numbers, first, media_type), boundary)
        return StreamingResponse(_closing(body, resources.pop_all()), media_type=multipart.content_type(kind, boundary))


@router.get(
    INSTANCE + "/frames/{frame}/rendered",
    responses={200: {"content": {kind: {} for kind in PICTURE_TYPES}, "description": "One frame as a picture"}},
)
def retrieve_rendered_frame(
    parts: Parts,
    principal: Viewer,
    instance: Instance,
    frame: FrameNumber,
    accept: Accept,
    quality: Annotated[int, Query(ge=1, le=100)] = 90,
) -> Response:
    """One frame as JPEG or PNG, decoded where a hostile file does no harm."""
    media_type = choose(accept, PICTURE_TYPES)
    with parts.reader.open(parts.store.path(instance.storage_key)) as cine:
        (number,) = _numbers(frame, cine.number_of_frames)
        pixels = cine.picture(number)  # (rows, columns, 3) uint8
    _record(parts, principal.name, instance)
    return Response(_encode(pixels, media_type, quality), media_type=media_type)


@dataclass(frozen=True, slots=True)
class _Offer:
    """What can be given: types of the parts (True: only to who names a transfer syntax), and the type without multipart."""

    kinds: Mapping[str, bool]
    transfer_syntax_uid: str
    single: str | None


def _offer(stored: StoredFrames, kind: str, *, single: bool) -> _Offer:
    """Octets without a transfer syntax mean uncompressed ones (PS3.18 8.7.3.5.2), which compressed frames are not."""
    kinds = {kind: False} if stored.is_native else {OCTETS: True, kind: kind == OCTETS}
    return _Offer(kinds, stored.transfer_syntax_uid, kind if single else None)


def _choose_form(accept: str | None, offer: _Offer) -> bool:
    """True when the best accepted form is without multipart. Raises Problem (406)."""
    for wanted in read_accept(accept):
        if wanted.kind in ("*/*", "multipart/*") or (wanted.kind == "multipart/related" and _suits(wanted, offer)):
            return False
        if wanted.kind == offer.single and wanted.parameters.get("transfer-syntax", "*") in ("*", offer.transfer_syntax_uid):
            return True
    available = [f'multipart/related; type="{kind}"; transfer-syntax={offer.transfer_syntax_uid}' for kind in sorted(offer.kinds)]
    raise Problem(406, "This exists only as it is stored.", extensions={"available": available})


def _suits(wanted: MediaRange, offer: _Offer) -> bool:
    syntax = wanted.parameters.get("transfer-syntax")
    if syntax is not None:
        return syntax in ("*", offer.transfer_syntax_uid) and _covers(wanted, offer.kinds)
    return _covers(wanted, [kind for kind, needs_syntax in offer.kinds.items() if not needs_syntax])


def _covers(wanted: MediaRange, kinds: Collection[str]) -> bool:
    named = MediaRange(wanted.parameters.get("type", "*/*").lower())
    return any(named.covers(kind) for kind in kinds)


def _numbers(listed: str, number_of_frames: int) -> Sequence[int]:
    """Frame numbers that exist. Raises Problem (404)."""
    numbers = [int(number) for number in listed.split(",")]
    if any(not 1 <= number <= number_of_frames for number in numbers):
        raise Problem(404, f"The instance has frames 1 to {number_of_frames}.", reason="no_such_frame")
    return numbers


def _frame_parts(stored: StoredFrames, numbers: Sequence[int], first: bytes, media_type: str) -> Iterator[Part]:
    yield Part(media_type, [first])
    for number in numbers[1:]:
        yield Part(media_type, [stored.read(number)])


def _closing(body: Iterator[bytes], resources: ExitStack) -> Iterator[bytes]:
    with resources:
        yield from body


def _pieces(path: FilePath) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _encode(pixels: Pixels, media_type: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels)
    if media_type == "image/png":
        picture.save(buffer, "PNG", compress_level=1)
    else:
        picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _record(parts: Services, actor: str, instance: StoredInstance) -> None:
    parts.audit.append(actor=actor, action="instance_retrieved", subject=instance.attributes.sop_instance_uid)
