"""Ports that are looked for together."""

from service.commands.whole import with_chosen_ports
from service.embedded.ports import free_ports, is_free
from service.settings import Settings
from tests.running import free_port

LOOPBACK = "127.0.0.1"


def test_ports_that_are_looked_for_together_are_all_different() -> None:
    ports = free_ports(*[LOOPBACK] * 500)
    assert len(set(ports)) == 500


def test_settings_with_port_zero_get_a_free_port_and_others_stay() -> None:
    given = Settings(_env_file=None, dicom={"port": 0, "tls_port": None, "host": LOOPBACK}, http={"port": 8123})
    chosen = with_chosen_ports(given)
    assert chosen.http.port == 8123
    assert chosen.dicom.port
    assert chosen.dicom.tls_port is None
    assert is_free(LOOPBACK, chosen.dicom.port)


def test_port_of_a_test_is_given_to_no_other() -> None:
    ports = [free_port() for _ in range(500)]
    assert len(set(ports)) == 500
