"""OHIF (MIT), a viewer of DICOM studies, at /ohif/: it asks our own DICOMweb, as the person who is signed in (ADR 0038)."""

import mimetypes
import re
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, RedirectResponse, Response

from service.api.dependencies import Viewer
from service.api.problems import Problem
from service.web.pages import present
from service.web.vendored import OHIF, OHIF_PREFIX, ohif_bundle
from service.web.words import Wording

#: Of its one document and of its workers: scripts are files from here and none stands in the page. Its decoders and its reader of
#: masks make functions of text (unsafe-eval); its parts style themselves. A PDF's place names no address until the PDF is there,
#: which browsers take for this page's ('self'); where that is refused, the PDF is not shown afterwards either.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'unsafe-eval'; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' blob: data:; font-src 'self'; "
    "media-src 'self' blob:; object-src 'self' blob:; frame-src blob:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    # With the opener policy of every page: memory that workers share, which browsers give to isolated pages alone.
    "Cross-Origin-Embedder-Policy": "require-corp",
}
#: A name with a hash in it always has the same content.
_HASHED = re.compile(r"[0-9a-f]{16}\.")
_MEDIA_TYPES = {".js": "text/javascript", ".wasm": "application/wasm", ".woff2": "font/woff2"}

router = APIRouter(prefix=OHIF_PREFIX, include_in_schema=False)


@router.get("")
def ohif_without_slash(principal: Viewer) -> Response:
    """Its own addresses begin with the slash."""
    del principal
    return RedirectResponse(f"{OHIF_PREFIX}/", status_code=308)


@router.get("/{path:path}")
def ohif(principal: Viewer, words: Wording, path: str) -> Response:
    """A file of it; every other path is one of its own pages, all of which are one document."""
    del principal
    bundle = ohif_bundle()
    if bundle is None:
        raise Problem(404, "OHIF is not installed here; `make ohif` installs it.", reason="ohif_not_installed")
    if (file := _file(path)) is not None:
        return _send(file)
    if "." in path.rpartition("/")[2]:
        raise Problem(404, "OHIF has no such file.", reason="no_such_file")
    page = present("ohif.html", words=words, prefix=OHIF_PREFIX, bundle=bundle)
    page.headers.update(_HEADERS)
    return page


def _file(path: str) -> Path | None:
    """Only what lies in the folder."""
    file = (OHIF / path).resolve()
    return file if file.is_relative_to(OHIF.resolve()) and file.is_file() else None


def _send(file: Path) -> Response:
    keep = "private, max-age=31536000, immutable" if _HASHED.search(file.name) else "private, no-cache"
    media_type = _MEDIA_TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return FileResponse(file, media_type=media_type, headers={**_HEADERS, "Cache-Control": keep})
