"""Peers ask whether we hold instances (PS3.4 J): what they are answered, where they are told, and what is true of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from service.core.dicom_syntaxes import STORAGE_COMMITMENT
from service.errors import InputRejected, Unavailable
from service.ports import UnitOfWorkFactory
from service.settings import DicomSettings
from tests.integration.commitment_parts import (
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
from tests.integration.flow_parts import STUDY, received
from tests.integration.listener_parts import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    US,
    US_MULTIFRAME,
    wait_until,
)
from tests.integration.store_parts import PYNETDICOM_LEAVES_A_SOCKET
from tests.running import free_port

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
    # Known, so that nothing is reported while they hang up.
    house = make(peers=[known(free_port(), ae_title="ONE"), known(free_port(), ae_title="TWO")])
    with house.listening() as port:
        for calling, uid in (("ONE", "1.2.3"), ("TWO", "1.2.4")):
            with associated(port, calling=calling) as association:
                assert ask(association, "2.25.1", (US, uid)) == 0x0000
    assert len(house.rows("SELECT 1 FROM commitments_given")) == 2


def test_request_of_more_than_a_month_ago_makes_room(make: Make) -> None:
    house = make(peers=[known(free_port())])
    with house.listening() as port, associated(port) as association:
        ask(association, "2.25.1", (US, "1.2.3"))
        with house.engine.begin() as connection:
            connection.execute(text("UPDATE commitments_given SET accepted_at = now() - interval '31 days'"))
        ask(association, "2.25.2", (US, "1.2.3"))
    assert house.rows("SELECT transaction_uid FROM commitments_given") == [("2.25.2",)]


@pytest.mark.parametrize("as_scp", [False, True])
def test_roles_are_granted_as_proposed(make: Make, *, as_scp: bool) -> None:
    with make().listening() as port, associated(port, as_scp=as_scp) as association:
        roles = {str(each.abstract_syntax): (each.as_scu, each.as_scp) for each in association.accepted_contexts}
    assert roles[STORAGE_COMMITMENT] == (not as_scp, as_scp)
    assert roles[US] == (True, False)


def test_two_peers_of_one_title_are_a_wrong_setting() -> None:
    with pytest.raises(ValueError, match="same AE title"):
        DicomSettings(peers=(known(104), known(105)))
