"""The containers' health checks tell a live role from one that is gone or hangs."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from service.errors import Unavailable
from service.health import check_api, check_listener, check_worker
from service.settings import Settings
from tests.integration.listener_parts import running_listener
from tests.running import free_port


def test_live_listener_is_healthy_and_writes_no_association(tmp_path: Path) -> None:
    with running_listener(tmp_path) as running:
        check_listener(Settings(_env_file=None, dicom={"port": running.port}))
        assert running.log.opened_records == []
    assert running.log.closed_records == []


def test_listener_gone_or_hung_is_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="refused"):
        check_listener(Settings(_env_file=None, dicom={"port": free_port()}))
    monkeypatch.setattr("service.health._SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as hung, pytest.raises(TimeoutError):
        check_listener(Settings(_env_file=None, dicom={"port": hung.getsockname()[1]}))


def test_worker_is_healthy_while_one_beats(database_url: str, engine: Engine) -> None:
    settings = Settings(_env_file=None, database={"url": database_url})
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now())"))
    check_worker(settings)
    with engine.begin() as connection:
        connection.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'"))
    with pytest.raises(Unavailable, match="beaten"):
        check_worker(settings)


@pytest.mark.parametrize("status", [200, 500])
def test_api_is_healthy_when_it_answers_ok(status: int) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        settings = Settings(_env_file=None, http={"port": server.server_port})
        if status == 200:
            check_api(settings)
        else:
            with pytest.raises(Unavailable):
                check_api(settings)
