"""Peers ask whether we hold instances (PS3.4 J): what they are answered, where they are told, and what is true of it."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import Engine, text

from service.core.commitment import MAXIMUM_DATA_SET_BYTES, MAXIMUM_REFERENCES
from service.core.dicom_syntaxes import STORAGE_COMMITMENT
from service.errors import InputRejected, Unavailable
from service.logs import configure_logging
from service.ports import UnitOfWorkFactory
from service.settings import DicomSettings
from tests.integration.commitment_parts import (
    PATIENT,
    SR,
    CommittingHouse,
    Peer,
    ask,
    associated,
    known,
    outcomes,
    store,
    wait_for_result,
)
from tests.integration.listener_parts import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    P_DATA,
    US,
    US_MULTIFRAME,
    RawPeer,
    decode_command,
    encode_command,
    pdata,
    wait_until,
)
from tests.integration.test_flow import STUDY, received
from tests.integration.test_store_scu import PYNETDICOM_LEAVES_A_SOCKET
from tests.running import free_port

WELL_KNOWN = "1.2.840.10008.1.20.1.1"
NO_SUCH_INSTANCE, CONFLICT, PROCESSING_FAILURE = 0x0112, 0x0119, 0x0110
Make = Callable[..., CommittingHouse]


@pytest.fixture
def make(units: UnitOfWorkFactory, engine: Engine, tmp_path: Path) -> Make:
    return lambda **changes: CommittingHouse(units, engine, tmp_path, **changes)


def test_stored_instances_are_committed_on_a_new_association_in_the_role_of_the_scp(make: Make) -> None:
    with Peer().running() as peer:
        house = make(peers=[known(peer.port)])
        with house.listening() as port, associated(port) as association:
            store(association, "1.2.3", "1.2.4")
            assert ask(association, "2.25.1", (US, "1.2.3"), (US, "1.2.4")) == 0x0000
        assert peer.results == []
        house.work()
    (result,) = peer.results
    assert (result.transaction_uid, outcomes(result)) == ("2.25.1", {"1.2.3": None, "1.2.4": None})
    assert (peer.roles, peer.callers) == ([(False, True)], ["SONOMYO"])
    assert house.rows("SELECT state, failed_count FROM commitments_given") == [("reported", 0)]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_peer_without_a_known_address_is_told_on_the_same_association(make: Make, syntax: str) -> None:
    house, peer = make(), Peer()
    with house.listening() as port, associated(port, peer=peer, syntax=syntax) as association:
        store(association, "1.2.3")
        assert ask(association, "2.25.1", (US, "1.2.3"), (US, "1.2.99")) == 0x0000
        assert wait_for_result(peer) == {"1.2.3": None, "1.2.99": NO_SUCH_INSTANCE}
        wait_until(lambda: house.rows("SELECT state, failed_count FROM commitments_given") == [("reported", 1)])
    assert "report_commitment" not in house.waiting()


def test_peer_that_leaves_before_its_report_is_told_when_it_asks_again(make: Make) -> None:
    house, peer = make(), Peer(event_status=0x0110)
    with house.listening() as port:
        with associated(port, peer=peer) as association:
            store(association, "1.2.3")
            ask(association, "2.25.1", (US, "1.2.3"))
            wait_for_result(peer)
        assert house.rows("SELECT state FROM commitments_given") == [("accepted",)]
        peer.event_status = 0x0000
        with associated(port, peer=peer) as association:
            assert ask(association, "2.25.1", (US, "1.2.3")) == 0x0000
            wait_until(lambda: house.rows("SELECT state FROM commitments_given") == [("reported",)])
    assert [outcomes(result) for result in peer.results] == [{"1.2.3": None}] * 2


def reported(house: CommittingHouse, peer: Peer, *references: tuple[str, str]) -> dict[str, int | None]:
    """What a peer is told of instances, on one association."""
    with house.listening() as port, associated(port, peer=peer) as association:
        assert ask(association, "2.25.7", *references) == 0x0000
        return wait_for_result(peer)


def stored(house: CommittingHouse, *uids: str) -> list[Path]:
    """Received by C-STORE; gives their files."""
    with house.listening() as port, associated(port) as association:
        store(association, *uids)
    return list(map(house.store.path, house.store.keys()))


def test_instance_under_another_class_is_a_conflict(make: Make) -> None:
    house = make()
    stored(house, "1.2.3")
    assert reported(house, Peer(), (US_MULTIFRAME, "1.2.3")) == {"1.2.3": CONFLICT}


def test_instance_whose_file_is_gone_is_not_held(make: Make) -> None:
    house = make()
    (file,) = stored(house, "1.2.3")
    file.unlink()
    assert reported(house, Peer(), (US, "1.2.3")) == {"1.2.3": NO_SUCH_INSTANCE}


def test_instance_whose_file_was_cut_is_not_vouched_for(make: Make) -> None:
    house = make()
    (file,) = stored(house, "1.2.3")
    file.write_bytes(file.read_bytes()[:-1])
    assert reported(house, Peer(), (US, "1.2.3")) == {"1.2.3": PROCESSING_FAILURE}


def test_instance_that_retention_took_is_not_held_though_its_file_is_still_there(make: Make) -> None:
    house = make()
    stored(house, "1.2.3")
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE instances SET removed_at = now()"))
    assert reported(house, Peer(), (US, "1.2.3")) == {"1.2.3": NO_SUCH_INSTANCE}


def test_instance_kept_as_a_conflict_is_held_as_well(make: Make) -> None:
    """The bytes of the second arrival are kept, too: either sender may forget its copy."""
    house = make()
    (file,) = stored(house, "1.2.3")
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE instances SET is_current = false, disposition = 'conflict'"))
    assert file.exists()
    assert reported(house, Peer(), (US, "1.2.3")) == {"1.2.3": None}


def test_object_that_we_made_is_held(make: Make) -> None:
    house = make()
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    assert reported(house, Peer(), (SR, "2.25.1")) == {"2.25.1": None}


@PYNETDICOM_LEAVES_A_SOCKET
def test_peer_that_is_away_is_told_when_it_is_back(make: Make) -> None:
    port = free_port()
    house = make(peers=[known(port)])
    with house.listening() as listening, associated(listening) as association:
        store(association, "1.2.3")
        ask(association, "2.25.1", (US, "1.2.3"))
    (request_id,) = house.rows("SELECT id FROM commitments_given")[0]
    with pytest.raises(Unavailable):
        house.flow.report_commitment(request_id)
    assert "no_association" in house.rows("SELECT last_error FROM commitments_given")[0][0]
    with Peer().running(port=port) as peer:
        house.flow.report_commitment(request_id)
        house.flow.report_commitment(request_id)
    assert [outcomes(result) for result in peer.results] == [{"1.2.3": None}]


def test_peer_that_refuses_our_report_for_good_is_not_called_again(make: Make) -> None:
    with Peer(event_status=0x0115).running() as peer:
        house = make(peers=[known(peer.port)])
        with house.listening() as port, associated(port) as association:
            ask(association, "2.25.1", (US, "1.2.3"))
        with pytest.raises(InputRejected, match="0x0115"):
            house.work()
    assert len(peer.results) == 1


def test_request_that_is_repeated_is_one_row_and_is_reported_again(make: Make) -> None:
    with Peer().running() as peer:
        house = make(peers=[known(peer.port)])
        with house.listening() as port, associated(port) as association:
            for _ in range(2):
                assert ask(association, "2.25.1", (US, "1.2.3")) == 0x0000
                house.work()
            assert ask(association, "2.25.1", (US, "1.2.4")) == 0x0115
    assert [result.transaction_uid for result in peer.results] == ["2.25.1", "2.25.1"]
    assert len(house.rows("SELECT 1 FROM commitments_given")) == 1


def test_transaction_uids_of_two_peers_are_their_own(make: Make) -> None:
    house = make()
    with house.listening() as port:
        for calling, uid in (("ONE", "1.2.3"), ("TWO", "1.2.4")):
            with associated(port, calling=calling) as association:
                assert ask(association, "2.25.1", (US, uid)) == 0x0000
    assert len(house.rows("SELECT 1 FROM commitments_given")) == 2


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
        assert peer.read()[0] == 7


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


def test_two_peers_of_one_title_are_a_wrong_setting() -> None:
    with pytest.raises(ValueError, match="same AE title"):
        DicomSettings(peers=(known(104), known(105)))
