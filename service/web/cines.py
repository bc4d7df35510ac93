"""What the report viewer plays: a cine's time, scale and frames, several frames in one answer."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path as File
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from service.adapters.stored_frames import open_frames
from service.api.dependencies import Parts, Services, Uid, Viewer
from service.api.problems import Problem
from service.api.streams import MadeAhead
from service.core.browser_pictures import encode_for_browser, is_browser_jpeg
from service.core.cine import Cine
from service.core.findings import Value
from service.core.pixel_format import CODECS
from service.core.report import Report
from service.dicom_views import HeldObject
from service.dicomweb.objects import cache_headers, record, unchanged
from service.errors import InputRejected, NotFound, Removed
from service.web.words import Wording, Words

#: So many frames in one answer: as many as a player fetches ahead, and no more in memory.
MOST_FRAMES = 32
#: So many frames the player asks for at a time; the page tells it, and asks for the first of them itself.
BATCH = 16
_FOR_GOOD = "private, max-age=31536000, immutable"
_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
_LENGTH = 4
_OCTETS = "application/octet-stream"

router = APIRouter(prefix="/studies/{study_instance_uid}/cines/{sop_instance_uid}", include_in_schema=False)
FrameNumber = Annotated[int, Path(ge=1, le=1_000_000)]
Version = Annotated[str | None, Query(alias="v", max_length=128)]


class TimeTold(Value):
    """Seconds of each frame after the first; null, with the reason, where the cine has no time."""

    seconds: tuple[float, ...] | None
    source: str
    is_nominal: bool
    reason: str | None


class ScaleTold(Value):
    """The measured region, and millimetres a pixel in it; null, with the reason, where it is not calibrated."""

    x0: int
    y0: int
    x1: int
    y1: int
    mm_per_pixel_x: float | None
    mm_per_pixel_y: float | None
    reason: str | None


class CineTold(Value):
    """One cine, for the viewer."""

    sop_instance_uid: str
    version: str
    number_of_frames: int
    rows: int
    columns: int
    is_colour: bool
    time: TimeTold
    region: ScaleTold


@dataclass(frozen=True, slots=True)
class ShownCine:
    """One of the study's cines as the page lists it."""

    sop_instance_uid: str
    series_instance_uid: str
    version: str
    number_of_frames: int
    title: str
    #: Of what the service tells of it.
    address: str
    #: Whether a frame can be had without those before it.
    stands_alone: bool

    def batch(self, frame: int) -> str:
        """The frames that the player asks for to show this one: `1-16`."""
        first = (frame - 1) // BATCH * BATCH + 1
        return f"{first}-{min(first + BATCH - 1, self.number_of_frames)}"


def shown_cines(parts: Services, study_instance_uid: str, words: Words) -> Sequence[ShownCine]:
    """What came with the study and has pictures; nothing where retention has given the bytes up."""
    try:
        objects = parts.dicom.objects(study_instance_uid)
    except (NotFound, Removed):
        return ()
    pictured = [held for held in objects if _has_pictures(held)]
    return [_shown(held, place, words) for place, held in enumerate(pictured, start=1)]


def start_frames(report: Report) -> Mapping[str, int]:
    """By SOP Instance UID the frame that shows the first of the report's findings of it best, one with lines if any has."""
    shown = (finding.evidence for finding in report.findings if finding.evidence.frames and not finding.is_rejected)
    starts: dict[str, int] = {}
    for evidence in shown:
        drawn = {line.frame for line in evidence.lines}
        best = next((frame for frame in evidence.frames if frame in drawn), evidence.frames[0])
        starts.setdefault(evidence.sop_instance_uid, best)
    return starts


def find_cine(parts: Parts, study_instance_uid: Uid, sop_instance_uid: Uid) -> HeldObject:
    """What a path names. Raises NotFound, Removed, Problem (404)."""
    held = parts.dicom.objects(study_instance_uid, None, sop_instance_uid)[0]
    if not _has_pictures(held):
        raise Problem(404, "This instance has no frames to show.", reason="no_picture")
    return held


Held = Annotated[HeldObject, Depends(find_cine)]


@router.get("")
def cine_told(request: Request, parts: Parts, principal: Viewer, held: Held, words: Wording) -> Response:
    """Frames, time axis and scale as the analyses know them; reasons in the reader's language."""
    del principal
    headers = cache_headers([held], f"cine, {words.tag}")
    headers["Vary"] += ", Accept-Language"
    if (known := unchanged(request, headers)) is not None:
        return known

    def told() -> bytes:
        with parts.dicom.open(held) as path, parts.reader.open(path) as cine:
            return _told(held, cine, words).model_dump_json().encode()

    content = parts.told_cines.get_or_make((held.attributes.sop_instance_uid, held.version, words.tag), told)
    return Response(content, media_type="application/json", headers=headers)


@router.get("/frames/{number}.jpg")
def cine_frame(
    request: Request, parts: Parts, principal: Viewer, held: Held, number: FrameNumber, version: Version = None
) -> Response:
    """One frame as a picture, which a page shows before any of its scripts runs."""
    headers = _headers(held, f"frame {number}", version)
    record(parts, principal.name, [held])
    if (known := unchanged(request, headers)) is not None:
        return known
    with parts.dicom.open(held) as path, closing(_Shown(parts, held, path, range(number, number + 1))) as shown:
        picture = next(iter(shown.run())) if _is_video(held) else shown.picture(number)
    return Response(picture, media_type="image/jpeg", headers=headers)


@router.get("/frames/{first}-{last}")
def cine_frames(
    request: Request,
    parts: Parts,
    principal: Viewer,
    held: Held,
    first: FrameNumber,
    last: FrameNumber,
    version: Version = None,
) -> Response:
    """JPEGs one behind the other, each with its length before it in four bytes, most significant first.

    What has to be decoded is sent frame by frame, so that the first is seen while the others are made. A frame that cannot be
    shown has the length 0, and says why when it is asked for alone. With the version in the address a browser keeps them: a
    correction has another one.
    """
    if not first <= last < first + MOST_FRAMES:
        raise Problem(422, f"At most {MOST_FRAMES} frames, the first before the last.", reason="frames")
    headers = _headers(held, f"frames {first}-{last}", version)
    record(parts, principal.name, [held])
    if (known := unchanged(request, headers)) is not None:
        return known
    lengthed = _lengthed(parts, held, range(first, last + 1))
    if CODECS.get(held.attributes.transfer_syntax_uid) == "jpeg":
        return Response(b"".join(lengthed), media_type=_OCTETS, headers=headers)
    begun = next(lengthed)  # before the answer begins: what is wrong with it can still be told
    return MadeAhead(_begun(begun, lengthed), media_type=_OCTETS, headers=headers)


def _begun(first: bytes, others: Generator[bytes]) -> Generator[bytes]:
    with closing(others):
        yield first
        yield from others


def _lengthed(parts: Services, held: HeldObject, wanted: range) -> Generator[bytes]:
    """Each frame behind its length, made as it is asked for; one that cannot be shown has none. Raises Problem (404)."""
    with parts.dicom.open(held) as path:
        for one in _frames(parts, held, path, wanted):
            yield len(one).to_bytes(_LENGTH) + one


def _headers(held: HeldObject, form: str, version: str | None) -> dict[str, str]:
    headers = cache_headers([held], form)
    if version == held.version:
        headers["Cache-Control"] = _FOR_GOOD
    return headers


def _has_pictures(held: HeldObject) -> bool:
    attributes = held.attributes
    return held.storage_key is not None and attributes.has_pixel_data and attributes.sop_class_uid != _SEGMENTATION


def _shown(held: HeldObject, place: int, words: Words) -> ShownCine:
    attributes = held.attributes
    frames = attributes.number_of_frames or 1
    said = attributes.series_description or attributes.anatomic_region_meaning or words.say("Picture {number}", number=place)
    side = f", {attributes.laterality}" if attributes.laterality else ""
    return ShownCine(
        sop_instance_uid=attributes.sop_instance_uid,
        series_instance_uid=attributes.series_instance_uid,
        version=held.version,
        number_of_frames=frames,
        title=said + side,
        address=f"/studies/{attributes.study_instance_uid}/cines/{attributes.sop_instance_uid}",
        stands_alone=not _is_video(held),
    )


def _told(held: HeldObject, cine: Cine, words: Words) -> CineTold:
    axis, box, scale = cine.time_axis, cine.region.box, cine.region.calibration
    return CineTold(
        sop_instance_uid=held.attributes.sop_instance_uid,
        version=held.version,
        number_of_frames=cine.number_of_frames,
        rows=cine.rows,
        columns=cine.columns,
        is_colour=cine.is_colour,
        time=TimeTold(seconds=axis.seconds, source=axis.source, is_nominal=axis.is_nominal, reason=_worded(axis.reason, words)),
        region=ScaleTold(
            x0=box.x0,
            y0=box.y0,
            x1=box.x1,
            y1=box.y1,
            mm_per_pixel_x=scale.mm_per_pixel_x,
            mm_per_pixel_y=scale.mm_per_pixel_y,
            reason=_worded(scale.reason, words),
        ),
    )


def _worded(reason: str | None, words: Words) -> str | None:
    return None if reason is None else words.told(reason)


def _frames(parts: Services, held: HeldObject, path: File, wanted: range) -> Generator[bytes]:
    """As they are stored where a browser can show that, decoded and encoded anew elsewhere; nothing of one that is refused.

    Nor, of a video, of those after it, for its frames do not stand alone. Raises InputRejected, Problem (404).
    """
    shown = _Shown(parts, held, path, wanted)
    with closing(shown):
        if _is_video(held):
            yield from _run_as_far_as_it_goes(shown, len(wanted))
            return
        for number in wanted:
            try:
                picture = shown.picture(number)
            except InputRejected:
                if not shown.is_open:
                    raise  # of no frame can anything be shown
                shown.close()  # a decoder that has refused a frame is of no more use
                picture = b""
            yield picture


def _run_as_far_as_it_goes(shown: "_Shown", wanted: int) -> Generator[bytes]:
    made = 0
    try:
        for picture in shown.run():
            yield picture
            made += 1
    except InputRejected:
        if not shown.is_open:
            raise
    yield from repeat(b"", wanted - made)


class _Shown:
    """Frames of one stored file as JPEG; a decoder is opened when the first frame needs one."""

    def __init__(self, parts: Services, held: HeldObject, path: File, wanted: range) -> None:
        self._parts, self._held, self._path, self._wanted = parts, held, path, wanted
        self._resources = ExitStack()
        self._stored: Callable[[int], bytes | None] | None = None
        self._cine: Cine | None = None
        #: Whether the file as a whole could be opened.
        self.is_open = False

    def picture(self, number: int) -> bytes:
        """One frame. Raises InputRejected, Problem (404)."""
        if self._cine is None and self._stored is None:
            self._stored = self._resources.enter_context(_stored_jpegs(self._held, self._path))
            self.is_open = self._stored is not None
        if self._stored is not None and (jpeg := self._stored(number)) is not None:
            return jpeg
        cine = self._decoded()
        return encode_for_browser(cine.picture(number), is_colour=cine.is_colour)

    def run(self) -> Iterator[bytes]:
        """All that are wanted of a video, in one pass."""
        return _encoded_run(self._decoded(), self._wanted)

    def close(self) -> None:
        """What is asked for after it is opened anew."""
        self._resources.close()
        self._stored = self._cine = None
        self.is_open = False

    def _decoded(self) -> Cine:
        if self._cine is None:
            self._cine = self._resources.enter_context(self._parts.reader.open(self._path))
            self.is_open = True
            _check(self._wanted, self._cine.number_of_frames)
        return self._cine


@contextmanager
def _stored_jpegs(held: HeldObject, path: File) -> Iterator[Callable[[int], bytes | None] | None]:
    """Gives a frame's bytes where a browser can show them; None as a whole for other transfer syntaxes."""
    if CODECS.get(held.attributes.transfer_syntax_uid) != "jpeg":
        yield None
        return
    with open_frames(path) as stored:

        def read(number: int) -> bytes | None:
            _check(range(number, number + 1), stored.number_of_frames)
            frame = stored.read(number)
            return frame if is_browser_jpeg(frame, stored.pixel_format) else None

        yield read


def _encoded_run(cine: Cine, wanted: range) -> Iterator[bytes]:
    """Of a video, whose frames do not stand alone, in one pass."""
    pictures = cine.pictures()
    for picture in islice(pictures, wanted.start - 1, wanted.stop - 1):
        yield encode_for_browser(picture, is_colour=cine.is_colour)


def _is_video(held: HeldObject) -> bool:
    return CODECS.get(held.attributes.transfer_syntax_uid) == "video"


def _check(wanted: range, number_of_frames: int) -> None:
    if wanted.stop - 1 > number_of_frames:
        raise Problem(404, f"The cine has frames 1 to {number_of_frames}.", reason="no_such_frame")
