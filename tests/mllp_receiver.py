"""A small receiver of HL7 v2 over MLLP that answers as told."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.core.hl7_acknowledgement import control_id_of

#: What is sent back to a message, in pieces.
Answer = Callable[[bytes], Iterator[bytes]]


def acknowledging(code: str) -> Answer:
    def answer(message: bytes) -> Iterator[bytes]:
        yield f"\x0bMSH|^~\\&|RIS||||||ACK|9|P|2.5.1\rMSA|{code}|{control_id_of(message)}\r\x1c\r".encode()

    return answer


@contextmanager
def receiving(answer: Answer, *, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """A receiver of one connection; gives its port and the messages that came."""
    received: list[bytes] = []

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            try:
                talk(connection if tls is None else tls.wrap_socket(connection, server_side=True))
            except OSError:
                return

    def talk(connection: socket.socket) -> None:
        with connection:
            bytes_so_far = b""
            while not bytes_so_far.endswith(b"\x1c\r"):
                piece = connection.recv(4096)
                if not piece:
                    return
                bytes_so_far += piece
            assert bytes_so_far.startswith(b"\x0b")
            received.append(bytes_so_far[1:-2])
            for piece in answer(received[-1]):
                connection.sendall(piece)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=[server])
        thread.start()
        yield server.getsockname()[1], received
        thread.join(timeout=10)
