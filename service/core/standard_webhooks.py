"""Signatures of webhooks by the Standard Webhooks specification 1.0.0: symmetric, `v1`."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

_PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64


def key_of(secret: str) -> bytes:
    """The key in `whsec_` and base64. Raises ValueError, which repeats nothing of the secret."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(f"a webhook's secret is whsec_ and the base64 of {_LEAST_BYTES} to {_MOST_BYTES} random bytes")
    return key


def message_id(sop_instance_uid: str) -> str:
    """Always the same for one object; without full stops, which separate what is signed."""
    return f"msg_{sop_instance_uid.replace('.', '_')}"


def signed_headers(key: bytes, identifier: str, sent_at: int, body: bytes) -> Mapping[str, str]:
    """The three headers of one attempt; `sent_at` in seconds since 1970."""
    digest = hmac.new(key, f"{identifier}.{sent_at}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(sent_at),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
