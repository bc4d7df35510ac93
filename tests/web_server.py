"""A small HTTP server for tests of what goes out by HTTP."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """A server that answers as told and keeps what it got."""

    answer: Callable[[], tuple[int, bytes]]
    url: str = ""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def serving(answer: Callable[[], tuple[int, bytes]], *, tls: ssl.SSLContext | None = None, **headers: str) -> Iterator[Web]:
    web = Web(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            web.requests.append((self.path, dict(self.headers.items()), body))
            status, content = web.answer()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        web.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}/rs"
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def trickling(head: bytes) -> Iterator[int]:
    """Answers with `head` and then a byte now and then, each in time, until the peer has gone."""
    over = threading.Event()

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(head)
            while not over.wait(0.2):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=[server])
        thread.start()
        yield server.getsockname()[1]
        over.set()
        thread.join()
