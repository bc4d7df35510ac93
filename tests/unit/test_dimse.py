"""Command sets against pynetdicom's own encoder, the status table, and who may associate."""

import struct
from contextlib import suppress
from io import BytesIO
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from service.core.association_policy import AllowedPeer, AssociationPolicy
from service.core.dimse import Command, CommandField, encode_response, parse_command
from service.core.store_status import STATUS_OF_REASON, StoreStatus, comment_of, status_of
from service.errors import Conflict, InputRejected, NotFound, Unavailable

US = "1.2.840.10008.5.1.4.1.1.6.1"
EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


def command(**values: object) -> bytes:
    dataset = Dataset()
    for keyword, value in {
        "AffectedSOPClassUID": US,
        "CommandField": 1,
        "MessageID": 5,
        "CommandDataSetType": 0,
        **values,
    }.items():
        if value is not None:
            setattr(dataset, keyword, value)
    encoded = encode(dataset, True, True)  # noqa: FBT003 - pynetdicom's signature
    assert encoded is not None
    return encoded


def test_command_of_pynetdicom_is_parsed() -> None:
    parsed = parse_command(command(AffectedSOPInstanceUID="1.2.3"))
    assert parsed == Command(
        field=CommandField.C_STORE, message_id=5, has_data_set=True, sop_class_uid=US, sop_instance_uid="1.2.3"
    )
    assert not parse_command(command(CommandDataSetType=0x0101)).has_data_set


@pytest.mark.parametrize("missing", ["CommandField", "MessageID", "CommandDataSetType"])
def test_command_that_cannot_be_answered_is_refused(missing: str) -> None:
    with pytest.raises(InputRejected) as refused:
        parse_command(command(**{missing: None}))
    assert refused.value.reason == "bad_command"


@given(st.binary(max_size=200))
def test_random_command_is_parsed_or_refused(encoded: bytes) -> None:
    with suppress(InputRejected):
        assert parse_command(encoded).field in CommandField


def test_response_is_read_by_pynetdicom() -> None:
    request = parse_command(command(AffectedSOPInstanceUID="1.2.3"))
    encoded = encode_response(request, status=0xA700, comment="No room: " + 30 * "word ")
    response = decode(BytesIO(encoded), True, True)  # noqa: FBT003 - pynetdicom's signature
    assert (response.Status, response.CommandField, response.MessageIDBeingRespondedTo) == (0xA700, 0x8001, 5)
    assert (response.AffectedSOPClassUID, response.AffectedSOPInstanceUID) == (US, "1.2.3")
    assert response.ErrorComment == "No room: word word word word word word word word word word..."
    assert response.CommandDataSetType == 0x0101


def test_response_begins_with_its_length() -> None:
    response = encode_response(parse_command(command()), status=0)
    assert struct.unpack_from("<L", response, 8)[0] == len(response) - 12


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unavailable("x"), StoreStatus.OUT_OF_RESOURCES),
        (Conflict("x"), StoreStatus.OUT_OF_RESOURCES),
        (OSError(28, "x"), StoreStatus.OUT_OF_RESOURCES),
        (InputRejected("x"), StoreStatus.CANNOT_UNDERSTAND),
        (InputRejected("x", reason="never heard of"), StoreStatus.CANNOT_UNDERSTAND),
        (NotFound("x"), StoreStatus.PROCESSING_FAILURE),
        (RuntimeError("x"), StoreStatus.PROCESSING_FAILURE),
        *[(InputRejected("x", reason=reason), status) for reason, status in STATUS_OF_REASON.items()],
    ],
)
def test_status_follows_the_kind_of_error(error: Exception, status: StoreStatus) -> None:
    assert status_of(error) is status


def test_comment_never_repeats_what_a_foreign_error_says() -> None:
    assert comment_of(Unavailable("The disk is full")) == "The disk is full"
    assert "Muster" not in comment_of(ValueError("Muster^Erika"))


def policy(*peers: AllowedPeer) -> AssociationPolicy:
    return AssociationPolicy(
        called_ae_titles=frozenset({"SONOMYO"}), allowed_peers=peers, supported={US: frozenset({EXPLICIT, BIG_ENDIAN})}
    )


@pytest.mark.parametrize(
    ("address", "calling", "reason"),
    [
        ("192.0.2.7", "A", None),
        ("::ffff:192.0.2.7", "A", None),
        ("192.0.2.7", "B", 3),
        ("198.51.100.1", "A", 1),
        ("2001:db8::1%eth0", "ANY", None),
        ("2001:db9::1", "ANY", 1),
    ],
)
def test_peer_is_judged_by_address_and_title_together(address: str, calling: str, reason: int | None) -> None:
    rules = policy(AllowedPeer("A", ip_network("192.0.2.0/24")), AllowedPeer(None, ip_network("2001:db8::/32")))
    rejection = rules.refuse_peer(address=address, calling_ae_title=calling, called_ae_title="SONOMYO")
    assert (rejection and rejection.reason) == reason


def test_empty_allow_list_takes_any_peer_but_not_any_called_title() -> None:
    assert policy().refuse_peer(address="::1", calling_ae_title="X", called_ae_title="SONOMYO") is None
    rejection = policy().refuse_peer(address="::1", calling_ae_title="X", called_ae_title="sonomyo")
    assert rejection is not None
    assert rejection.reason == 7


def test_context_takes_the_first_syntax_that_we_know_and_big_endian_last() -> None:
    assert policy().judge_context(1, US, ["1.9", BIG_ENDIAN, EXPLICIT]).accepted_transfer_syntax == EXPLICIT
    assert policy().judge_context(1, US, [BIG_ENDIAN]).accepted_transfer_syntax == BIG_ENDIAN
    assert policy().judge_context(1, US, ["1.9"]).result == 4
    assert policy().judge_context(1, "1.9", [EXPLICIT]).result == 3
