"""Signatures of webhooks against the specification's own example, and the form of a secret."""

import base64

import pytest

from service.core.standard_webhooks import key_of, message_id, signed_headers


def test_signature_of_the_example_that_the_specification_s_libraries_test_is_theirs() -> None:
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_message_id_has_no_full_stop_and_is_another_for_each_object() -> None:
    assert message_id("2.25.17") == "msg_2_25_17"
    assert message_id("2.25.1") != message_id("2.251")


@pytest.mark.parametrize("size", [24, 32, 64])
def test_key_of_a_secret_in_the_right_form_is_its_bytes(size: int) -> None:
    assert key_of(f"whsec_{base64.b64encode(bytes(size)).decode()}") == bytes(size)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "whsec_",
        "Canary",
        "whsec_Canary!",
        f"whsec_{base64.b64encode(bytes(23)).decode()}",
        f"whsec_{base64.b64encode(bytes(65)).decode()}",
        f"whsec_{base64.b64encode(bytes(25)).decode().rstrip('=')}",
        f"whsec_{base64.b64encode(bytes(24)).decode()}\n",
        f"whsec_{'é' * 32}",
        base64.b64encode(bytes(24)).decode(),
    ],
)
def test_key_of_a_secret_in_another_form_is_refused_without_repeating_it(wrong: str) -> None:
    with pytest.raises(ValueError, match="whsec_") as refused:
        key_of(wrong)
    assert not wrong.removeprefix("whsec_") or wrong.removeprefix("whsec_") not in str(refused.value)
