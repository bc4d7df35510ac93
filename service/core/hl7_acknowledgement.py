"""What the acknowledgement of an HL7 v2 message means (chapter 2.9.2, table 0008)."""

from service.errors import InputRejected, Unavailable

_ACCEPTED = frozenset({"AA", "CA"})
_REJECTED = frozenset({"AR", "CR"})
_ERROR = frozenset({"AE", "CE"})
_CONTROL_ID = 9


def control_id_of(message: bytes) -> str:
    """MSH-10 of a message of ours."""
    return message.split(b"\r", 1)[0].split(b"|")[_CONTROL_ID].decode()


def judge_acknowledgement(answer: bytes, control_id: str) -> None:
    """Raises Unavailable (AE, or no answer to this message) or InputRejected (AR).

    Of the receiver's words none is repeated, for they may name the patient.
    """
    segments = [segment.split("|") for segment in answer.decode("latin-1").replace("\n", "\r").split("\r")]
    found = next((fields for fields in segments if fields[0] == "MSA"), None)
    code, about = [*found, "", ""][1:3] if found is not None else ("", "")
    if about != control_id or code not in _ACCEPTED | _REJECTED | _ERROR:
        raise Unavailable("The receiver's answer is no acknowledgement of our message.", reason="not_acknowledged")
    if code in _REJECTED:
        raise InputRejected(f"The receiver rejected the message for good ({code}).", reason="refused")
    if code in _ERROR:
        raise Unavailable(f"The receiver could not process the message ({code}).", reason="not_stored")
