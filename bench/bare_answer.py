"""The least that an answer costs: Starlette and uvicorn alone give the bytes of a file, whatever is asked.

`python -m bench.bare_answer FILE` prints its port and serves until it is ended.
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@contextmanager
def bare_answer(content: bytes, folder: Path) -> Iterator[str]:
    """In a process of its own, as the service is; gives the address."""
    file = folder / "bare-answer"
    file.write_bytes(content)
    command = [sys.executable, "-m", "bench.bare_answer", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.terminate()


def main() -> None:
    """Serve a file's bytes."""
    content = Path(sys.argv[1]).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, media_type="application/json")

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the service's, so that both are compared alike
    print(listening.getsockname()[1], flush=True)
    app = Starlette(routes=[Route("/{path:path}", answer)])
    uvicorn.Server(uvicorn.Config(app, http="h11", access_log=False, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
