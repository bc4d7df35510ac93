"""Styles, scripts and pictures of the pages: kept by a browser for good under an address with their version, else asked anew.

The version is of all of them, for scripts import each other by relative addresses, which keep it.
"""

import hashlib
import os
import posixpath
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_PATH = "/static"
_VERSION_LENGTH = 12
_FOR_GOOD = "public, max-age=31536000, immutable"
_ASKED_ANEW = "public, no-cache"
#: What a module names on its own account; what it asks for later (`import(...)`) is none of the page's beginning.
_IMPORT = re.compile(r"""^(?:import|export)\b[^"';]*?["'](\.{1,2}/[^"']+)["']""", re.MULTILINE)


class VersionedFiles(StaticFiles):
    """They tell nothing about a patient. An address of another version gives what there is now, and is not kept.

    What has this version is read once: a page begins with thirty files, and for each of them a thread would look, open and read,
    behind whatever else the threads have to do.
    """

    def __init__(self, *, packages: list[str | tuple[str, str]]) -> None:
        super().__init__(packages=packages)
        self._kept: dict[str, Response] = {}

    async def get_response(self, path: str, scope: Scope) -> Response:
        """From memory, once it is there."""
        if scope["method"] != "GET" or f"/{_segment()}/" not in scope["path"]:
            return await super().get_response(path, scope)
        if path not in self._kept:
            response = await super().get_response(path, scope)
            if not isinstance(response, FileResponse):
                return response
            content = await run_in_threadpool(Path(response.path).read_bytes)
            self._kept[path] = Response(content, headers=dict(response.headers))
        return self._kept[path]

    def get_path(self, scope: Scope) -> str:
        """Without the version."""
        path = super().get_path(scope)
        first, _, rest = path.partition(os.sep)
        return rest if first.startswith("v-") and rest else path

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """With what a browser may do with it (RFC 9111 5.2.2)."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        is_this_version = f"/{_segment()}/" in scope["path"]
        response.headers["Cache-Control"] = _FOR_GOOD if is_this_version else _ASKED_ANEW
        return response


def static_files() -> StaticFiles:
    """What is mounted at /static."""
    return VersionedFiles(packages=[("service.web", "static")])


def static_prefix() -> str:
    """What the address of each file begins with in a page."""
    return f"{_PATH}/{_segment()}"


@cache
def modules_of(*entries: str) -> Sequence[str]:
    """What these import, and so on, each once: a browser that is told need not read one file to learn of the next.

    All of the first entry's come first, for it waits for each of them. Read from the files themselves, so that it is never
    another list than theirs.
    """
    folder = files("service.web").joinpath("static")
    found: dict[str, None] = {}
    for entry in entries:
        waiting = [entry]
        for module in waiting:
            if module in found:
                continue
            found[module] = None
            named = _IMPORT.findall(folder.joinpath(module).read_text(encoding="utf-8"))
            waiting += [posixpath.normpath(posixpath.join(posixpath.dirname(module), one)) for one in named]
    return tuple(found)


@cache
def _segment() -> str:
    with as_file(files("service.web").joinpath("static")) as folder:
        return f"v-{version_of(folder)}"


def version_of(folder: Path) -> str:
    """Another one as soon as a file has another name or content."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()[:_VERSION_LENGTH]
