"""What a peer is answered whose request for commitment is malformed, too large, or cannot be kept (PS3.7 10.1.4, C)."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import Engine

from service.core.commitment import MAXIMUM_DATA_SET_BYTES, MAXIMUM_REFERENCES
from service.core.dicom_syntaxes import STORAGE_COMMITMENT
from service.logs import configure_logging
from service.ports import UnitOfWorkFactory
from tests.integration.commitment_parts import PATIENT, WELL_KNOWN, CommittingHouse, ask, associated, store
from tests.integration.listener_parts import (
    ABORT,
    EXPLICIT,
    P_DATA,
    US,
    RawPeer,
    decode_command,
    encode_command,
    pdata,
    wait_until,
)

Make = Callable[..., CommittingHouse]


@pytest.fixture
def make(units: UnitOfWorkFactory, engine: Engine, tmp_path: Path) -> Make:
    return lambda **changes: CommittingHouse(units, engine, tmp_path, **changes)


def data_set(**changes: Any) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = US, "1.2.3"
    made = Dataset()
    made.TransactionUID, made.ReferencedSOPSequence = "2.25.1", [item]
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    return made


def nameless() -> Dataset:
    made = data_set()
    del made.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    return made


REFUSALS: dict[str, tuple[dict[str, Any], int]] = {
    "another instance": ({"instance": "1.2.3"}, 0x0112),
    "another action": ({"action": 2}, 0x0123),
    "no data set": ({"data_set": None}, 0x0115),
    "no transaction": ({"data_set": data_set(TransactionUID="")}, 0x0115),
    "no references": ({"data_set": data_set(ReferencedSOPSequence=[])}, 0x0115),
    "a reference without a UID": ({"data_set": nameless()}, 0x0115),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_malformed_request_is_refused_by_its_status_and_stands_in_the_association_log(make: Make, name: str) -> None:
    changes, status = REFUSALS[name]
    house, log = make(), StringIO()
    configure_logging(format="json", level="INFO", role="listener", stream=log)
    with house.listening() as port, associated(port) as association:
        assert ask(association, "2.25.1", (US, "1.2.3"), **changes) == status
        store(association, "1.2.3")
    wait_until(lambda: bool(house.rows("SELECT 1 FROM associations WHERE closed_at IS NOT NULL")))
    (((failure,),),) = house.rows("SELECT failures FROM associations")
    assert failure["status"] == status
    assert failure["error_comment"]
    assert house.rows("SELECT 1 FROM commitments_given") == []
    assert "commitment_refused" in log.getvalue()
    assert PATIENT not in log.getvalue()


def test_request_of_too_many_instances_is_refused_and_the_association_lives_on(make: Make) -> None:
    house = make()
    with house.listening() as port, associated(port) as association:
        many = [(US, f"1.2.{number}") for number in range(MAXIMUM_REFERENCES + 1)]
        assert ask(association, "2.25.1", *many) == 0x0213
        assert ask(association, "2.25.2", *many[:-1]) == 0x0000


def test_request_without_end_is_not_kept_in_memory(make: Make) -> None:
    house = make()
    with house.listening() as port, RawPeer(port) as peer:
        peer.associate((STORAGE_COMMITMENT, [EXPLICIT]))
        peer.send(pdata(1, 3, action_command()))
        for _ in range(2 * MAXIMUM_DATA_SET_BYTES // 16000):
            peer.send(pdata(1, 0, bytes(16000)))
        peer.send(pdata(1, 2, b""))
        assert peer.status()[0] == 0x0213


def action_command(field: int = 0x0130, **changes: int) -> bytes:
    elements: dict[int, int | str | bytes] = {0x0003: STORAGE_COMMITMENT, 0x0100: field, 0x0110: 1, 0x0800: 1}
    elements |= {0x1001: WELL_KNOWN, 0x1008: 1}
    elements |= {int(tag, 16): value for tag, value in changes.items()}
    return encode_command(elements)


def test_other_operation_on_the_context_is_unrecognised_and_a_stray_response_ends_the_association(make: Make) -> None:
    house = make()
    with house.listening() as port, RawPeer(port) as peer:
        peer.associate((STORAGE_COMMITMENT, [EXPLICIT]))
        peer.send(pdata(1, 3, encode_command({0x0003: STORAGE_COMMITMENT, 0x0100: 0x0110, 0x0110: 1, 0x0800: 0x0101})))
        assert peer.status()[0] == 0x0211
        stray: dict[int, int | str | bytes] = {
            0x0002: STORAGE_COMMITMENT,
            0x0100: 0x8100,
            0x0120: 5,
            0x0800: 0x0101,
            0x0900: 0,
            0x1000: WELL_KNOWN,
        }
        peer.send(pdata(1, 3, encode_command(stray)))
        assert peer.read()[0] == ABORT


def test_response_names_class_instance_and_message(make: Make) -> None:
    house = make()
    with house.listening() as port, RawPeer(port) as peer:
        peer.associate((STORAGE_COMMITMENT, [EXPLICIT]))
        peer.send(pdata(1, 3, action_command(**{"0x0800": 0x0101})))
        kind, body = peer.read()
    answer = decode_command(body[6:])
    assert (kind, answer[0x0100], answer[0x0120]) == (P_DATA, b"\x30\x81", b"\x01\x00")
    assert (answer[0x0002].rstrip(b"\0").decode(), answer[0x1000].rstrip(b"\0").decode()) == (STORAGE_COMMITMENT, WELL_KNOWN)


def test_request_while_there_is_no_room_is_a_limitation_of_resources(make: Make) -> None:
    house = make()
    with house.listening(gate=lambda: "The disk is full.") as port, associated(port) as association:
        assert ask(association, "2.25.1", (US, "1.2.3")) == 0x0213
    assert house.rows("SELECT 1 FROM commitments_given") == []
