"""Guidance over a WebSocket: frames come in, the newest is answered, what the model is too slow for is dropped.

docs/live.md has the protocol. A session keeps no frame but the one that waits and those that are frozen.
"""

import asyncio
import json
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.access import AuditLog, Principal, Role
from service.api.instrumentation import Metrics
from service.api.limits import address_of, client_of
from service.api.live_start import LiveStart
from service.api.live_words import language_of_socket, worded
from service.api.uploads import Intake
from service.core.analyses.analysis import Tensors
from service.core.cine import Pixels
from service.core.live import Ask, LiveExamination
from service.core.live_frames import decode_frame, refuse_live_colour
from service.core.render.still import LiveStudy, render_still
from service.core.wrist_planes import PLANES
from service.errors import InputRejected, SonomyoError, Unavailable

MOST_SESSIONS, MOST_SESSIONS_OF_ONE = 4, 2
#: After this a client connects anew, so that a key or a session that has ended does not go on.
LONGEST_SECONDS = 1800.0
#: A raw frame of the largest size, and its number.
LARGEST_MESSAGE_BYTES = (16 << 20) + 4
_START_SECONDS = 10.0
#: Nothing came for so long: the cart is gone.
_IDLE_SECONDS = 60.0
_NUMBER = struct.Struct(">I")
_POLICY_VIOLATION, _TRY_AGAIN_LATER, _UNSUPPORTED = 1008, 1013, 1003

_log = structlog.stdlib.get_logger("sonomyo.live")


@dataclass(slots=True)
class LiveRoom:
    """Everything that sessions share."""

    #: An image (1, 1, S, S) to the network's answer. Raises Unavailable, ModelContractError.
    ask: Callable[[Pixels], Tensors]
    intake: Intake
    metrics: Metrics
    audit: AuditLog
    _running: Counter[str] = field(default_factory=Counter)

    async def serve(self, websocket: WebSocket) -> None:
        """One examination, from the handshake to its end."""
        principal = websocket.scope.get("state", {}).get("principal")
        await websocket.accept()
        name = client_of(websocket.scope)
        if self._running.total() >= MOST_SESSIONS or self._running[name] >= MOST_SESSIONS_OF_ONE:
            said = f"{MOST_SESSIONS} examinations run already, or {MOST_SESSIONS_OF_ONE} of yours."
            await _refuse(websocket, "busy", said, _TRY_AGAIN_LATER)
            return
        self._running[name] += 1
        try:
            await self._examine(websocket, principal)
        except WebSocketDisconnect:
            pass
        finally:
            self._running[name] -= 1

    async def _examine(self, websocket: WebSocket, principal: Principal | None) -> None:
        start = await _started(websocket)
        if start is None:
            return
        if start.keep and (principal is None or not principal.role.includes(Role.RADIOLOGIST)):
            await _refuse(websocket, "role", f"To keep frames needs the role {Role.RADIOLOGIST.value}.", _POLICY_VIOLATION)
            return
        session = _Session(self, websocket, start, "unknown" if principal is None else principal.name)
        say = language_of_socket(websocket).text
        await websocket.send_json({"type": "ready", "planes": [{"plane": p.name, "title": say(p.title)} for p in PLANES]})
        began = time.monotonic()
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await session.run()
        except TimeoutError:
            said = f"An examination takes at most {LONGEST_SECONDS / 60:.0f} minutes; begin another."
            await _refuse(websocket, "too_long", said, _TRY_AGAIN_LATER)
        finally:
            _log.info(
                "live_session",
                principal=None if principal is None else principal.name,
                seconds=round(time.monotonic() - began, 1),
                frames=session.answered,
                dropped=session.dropped,
                kept=session.kept,
            )


@dataclass(slots=True)
class _Waiting:
    number: int
    payload: memoryview
    came_at: float


@dataclass(slots=True)
class _Session:
    """One socket: a task that receives, and one that answers the newest frame."""

    room: LiveRoom
    websocket: WebSocket
    start: LiveStart
    actor: str
    answered: int = 0
    dropped: int = 0
    kept: int = 0
    _newest: _Waiting | None = None
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _keeping: set[asyncio.Task[None]] = field(default_factory=set)
    #: On another thread; what a socket has begun is ended before another may take its place.
    _looking: "asyncio.Future[tuple[str, tuple[str, bytes] | None]] | None" = None

    async def run(self) -> None:
        """Until the client leaves. Raises WebSocketDisconnect."""
        spent: dict[str, float] = {}
        examination = LiveExamination(ask=_timed(self.room.ask, spent), calibration=self.start.calibration, region=self.start.box)
        study = self.start.study()
        answering = asyncio.create_task(self._answer(examination, study, spent))
        receiving = asyncio.create_task(self._receive())
        try:
            done, _ = await asyncio.wait({answering, receiving}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (answering, receiving):
                task.cancel()
            left: list[asyncio.Future[Any]] = [answering, receiving, *self._keeping]
            if self._looking is not None:
                left.append(self._looking)
            await _ended(left)

    async def _receive(self) -> None:
        while True:
            try:
                message = await asyncio.wait_for(self.websocket.receive_bytes(), _IDLE_SECONDS)
            except TimeoutError:
                await _refuse(self.websocket, "idle", f"No frame came for {_IDLE_SECONDS:.0f} s.", _TRY_AGAIN_LATER)
                return
            except KeyError:
                await _refuse(self.websocket, "text", "After the first message only frames are taken.", _UNSUPPORTED)
                return
            if len(message) <= _NUMBER.size:
                await _refuse(self.websocket, "frame_size", "A frame is its number, four bytes, and its bytes.", _UNSUPPORTED)
                return
            if self._newest is not None:
                self.dropped += 1
                self.room.metrics.live_frames.labels("dropped").inc()
            (number,) = _NUMBER.unpack_from(message)
            self._newest = _Waiting(number, memoryview(message)[_NUMBER.size :], time.perf_counter())
            self._came.set()

    async def _answer(self, examination: LiveExamination, study: LiveStudy, spent: dict[str, float]) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            waiting, self._newest = self._newest, None
            if waiting is None:
                continue
            self._looking = asyncio.ensure_future(run_in_threadpool(self._look, examination, study, waiting, spent))
            try:
                told, still = await asyncio.shield(self._looking)
            except SonomyoError as error:
                await self.websocket.send_json({"type": "problem", "number": waiting.number, **self._told(error)})
                continue
            if still is not None:
                self._keep(examination, *still)
            await self.websocket.send_text(told)
            self.answered += 1

    def _look(
        self, examination: LiveExamination, study: LiveStudy, waiting: _Waiting, spent: dict[str, float]
    ) -> tuple[str, tuple[str, bytes] | None]:
        """On another thread: the message, and the plane and the file to keep, if any. Raises SonomyoError."""
        began = time.perf_counter()
        frame = self._decoded(waiting.payload)
        sector = examination.sector_box()
        if self.start.format == "jpeg" and sector is not None:  # not of the first frame, which is never kept
            refuse_live_colour(waiting.payload, sector)
        decoded = time.perf_counter()
        guidance = examination.see(frame)
        ended = time.perf_counter()
        still = None
        if guidance.frozen is not None and self.start.keep:
            still = guidance.frozen, self._rendered(study, examination.sector(frame), guidance.frozen)
        self.room.metrics.live_frames.labels("answered").inc()
        self.room.metrics.live_seconds.observe(ended - waiting.came_at)
        milliseconds = {
            "waiting": began - waiting.came_at,
            "decoding": decoded - began,
            "network": spent["network"],
            "grading": ended - decoded - spent["network"],
            "total": ended - waiting.came_at,
        }
        head = {
            "type": "guidance",
            "number": waiting.number,
            "dropped": self.dropped,
            "milliseconds": {name: round(1000 * seconds, 1) for name, seconds in milliseconds.items()},
        }
        return _joined(head, worded(guidance, language_of_socket(self.websocket)).model_dump_json()), still

    def _decoded(self, payload: memoryview) -> Pixels:
        """Raises InputRejected."""
        frame = decode_frame(payload, self.start.format, rows=self.start.rows, columns=self.start.columns)
        if self.start.region is not None and (self.start.region[2] > frame.shape[1] or self.start.region[3] > frame.shape[0]):
            raise InputRejected("The region goes beyond the frame.", reason="region")
        return frame

    def _rendered(self, study: LiveStudy, sector: Pixels, plane: str) -> bytes:
        """The DICOM file of a frame that is frozen."""
        self.kept += 1
        return render_still(study, sector, number=self.kept, plane=plane, taken_at=datetime.now(UTC))

    def _keep(self, examination: LiveExamination, plane: str, content: bytes) -> None:
        """Stored while the next frames are answered; the client is told when it is durable."""
        task = asyncio.create_task(self._store(examination, plane, content))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _store(self, examination: LiveExamination, plane: str, content: bytes) -> None:
        try:
            stored = await run_in_threadpool(self._stored, content)
        except (SonomyoError, OSError) as error:
            examination.release(plane)
            _log.warning("live_frame_not_kept", exc_info=error)
            ours = error if isinstance(error, SonomyoError) else Unavailable("There is no room for it.", reason="store")
            told = self._told(ours)
            await self.websocket.send_json({"type": "problem", "plane": plane, **told})
            return
        await self.websocket.send_json({"type": "stored", "plane": plane, **stored})

    def _told(self, error: SonomyoError) -> dict[str, str]:
        return {"reason": error.reason, "detail": language_of_socket(self.websocket).text(str(error))}

    def _stored(self, content: bytes) -> dict[str, str]:
        with self.room.intake.begin() as file:
            file.write(content)
            stored = file.keep(peer_address=address_of(self.websocket.scope))
        attributes = stored.attributes
        self.room.audit.append(actor=self.actor, action="live_frame_kept", subject=attributes.study_instance_uid)
        return {"study_instance_uid": attributes.study_instance_uid, "sop_instance_uid": attributes.sop_instance_uid}


async def _ended(tasks: list[asyncio.Future[Any]]) -> None:
    """All are done, whatever with. Not by gather: who cancels it meanwhile is given a task's cancellation, not their own."""
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()


async def _started(websocket: WebSocket) -> LiveStart | None:
    """The first message; None after a refusal."""
    try:
        text = await asyncio.wait_for(websocket.receive_text(), _START_SECONDS)
        return LiveStart.model_validate_json(text)
    except (TimeoutError, KeyError):
        said = "The first message is text: a JSON object that says what frames will come."
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False))
        said = f"The first message is wrong: {wrong}"
    await _refuse(websocket, "start", said, _POLICY_VIOLATION)
    return None


async def _refuse(websocket: WebSocket, reason: str, detail: str, code: int) -> None:
    said = language_of_socket(websocket).text(detail)
    await websocket.send_json({"type": "problem", "reason": reason, "detail": said})
    await websocket.close(code, reason)


def _timed(ask: Ask, spent: dict[str, float]) -> Ask:
    def timed(image: Pixels) -> Tensors:
        began = time.perf_counter()
        answer = ask(image)
        spent["network"] = time.perf_counter() - began
        return answer

    return timed


def _joined(head: dict[str, Any], guidance: str) -> str:
    """One JSON object of both, without parsing the second again."""
    return json.dumps(head, separators=(",", ":"))[:-1] + "," + guidance[1:]
