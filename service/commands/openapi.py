"""`python -m service.commands.openapi`: writes openapi/openapi.json; a test compares it with the routes."""

import importlib.metadata
import sys
from pathlib import Path

from fastapi import FastAPI

from service.api.app import DESCRIPTION, TITLE, include_routes
from service.api.openapi import as_text
from service.dicomweb.routes import router as dicomweb

COMMITTED = Path(__file__).resolve().parents[2] / "openapi" / "openapi.json"


def document() -> str:
    """The OpenAPI document of every route, as it is committed; no part of the service is made for it."""
    app = FastAPI(title=TITLE, description=DESCRIPTION, version=importlib.metadata.version("sonomyo"))
    include_routes(app, (dicomweb,))
    return as_text(app)


if __name__ == "__main__":
    COMMITTED.parent.mkdir(exist_ok=True)
    COMMITTED.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"written: {COMMITTED}\n")
