"""openapi/openapi.json: generated from the routes, committed, and compared with them by a test."""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.api.gate import is_public_path
from service.api.schemas import ProblemDetails

_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key (`sonomyo keys create`)."},
    "session": {"type": "apiKey", "in": "cookie", "name": "sonomyo_session", "description": "The viewer's session."},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an app, its security included: everything needs a credential but the public paths."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SECURITY_SCHEMES
    schemas = components.setdefault("schemas", {})
    schemas["ProblemDetails"] = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    document["security"] = [{"bearer": []}, {"session": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if is_public_path(path):
                operation["security"] = []
            _answer_with_problems(operation)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def as_text(app: FastAPI) -> str:
    """The document as it is committed."""
    return json.dumps(describe(app), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _answer_with_problems(operation: dict[str, Any]) -> None:
    """FastAPI documents its own shape of a 422; ours is a problem."""
    answer = operation.get("responses", {}).get("422")
    if answer is not None and "application/json" in answer.get("content", {}):
        answer["content"] = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
