"""A small FHIR R4 server that takes transactions as R4 http.html#transaction tells it, for tests of what is pushed to one."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from service.core.render.fhir_values import resource_key, with_references
from tests.fhir_models import read, references
from tests.web_server import Web


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code = status, code


class FhirServer:
    """Keeps resources under `Type/id`, with what they were before; all of a transaction is done, or nothing."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        #: Every version of each, as `_history` would give it; one that changes nothing makes none.
        self.history: dict[str, list[dict[str, Any]]] = {}
        self._number = 0

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [one for key, one in self.resources.items() if key.startswith(f"{kind}/")]

    def add(self, kind: str, **elements: Any) -> str:
        """A resource that somebody else has put there; its key."""
        resource = {"resourceType": kind, "id": self._new_id(), **elements}
        self.resources[resource_key(resource)] = resource
        return resource_key(resource)

    def answer_last(self, web: Web) -> tuple[int, bytes]:
        path, headers, body = web.requests[-1]
        if path != "/rs" or headers["Content-Type"] != "application/fhir+json":
            return 404, outcome("not-found")
        try:
            return 200, json.dumps(self.transact(json.loads(body))).encode()
        except Refused as refused:
            return refused.status, outcome(refused.code)

    def transact(self, bundle: dict[str, Any]) -> dict[str, Any]:
        read(bundle)
        if bundle["type"] != "transaction":
            raise Refused(422, "value")
        keys = [self._key_of(entry) for entry in bundle["entry"]]
        names = {entry["fullUrl"]: key for entry, (key, _) in zip(bundle["entry"], keys, strict=True)}
        coming = self.resources | {
            key: self._resolved(entry["resource"], key, names)
            for entry, (key, is_written) in zip(bundle["entry"], keys, strict=True)
            if is_written
        }
        for key, _ in keys:
            if any(reference not in coming for reference in references(coming[key])):
                raise Refused(400, "not-found")
        made = [key not in self.resources for key, _ in keys]
        for key, resource in coming.items():
            if self.resources.get(key) != resource:
                self.history.setdefault(key, []).append(resource)
        self.resources = coming
        entries = [{"response": {"status": "201 Created" if is_new else "200 OK"}} for is_new in made]
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}

    def _key_of(self, entry: Mapping[str, Any]) -> tuple[str, bool]:
        """Where the resource of an entry lies, and whether it is written there."""
        resource, request = entry["resource"], entry["request"]
        if request["method"] == "PUT":
            if request["url"] != resource_key(resource):
                raise Refused(400, "value")
            return request["url"], True
        assert request["method"] == "POST"
        assert request["url"] == resource["resourceType"]
        found = self._search(resource["resourceType"], request["ifNoneExist"]) if "ifNoneExist" in request else []
        if len(found) > 1:
            raise Refused(412, "multiple-matches")
        return (found[0], False) if found else (f"{resource['resourceType']}/{self._new_id()}", True)

    def _search(self, kind: str, query: str) -> list[str]:
        name, _, token = query.partition("=")
        assert name == "identifier"
        system, value = (re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\)\|", unquote(token)))
        wanted = {"system": system, "value": value}
        return [
            key
            for key, one in self.resources.items()
            if key.startswith(f"{kind}/") and any(wanted.items() <= has.items() for has in one.get("identifier", []))
        ]

    def _resolved(self, resource: Mapping[str, Any], key: str, names: Mapping[str, str]) -> dict[str, Any]:
        stands = with_references(resource, lambda reference: {"reference": names.get(reference, reference)})
        return {**stands, "id": key.partition("/")[2]}

    def _new_id(self) -> str:
        self._number += 1
        return f"s{self._number}"


def outcome(code: str, **issue: Any) -> bytes:
    """An OperationOutcome of one error."""
    return json.dumps({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code, **issue}]}).encode()
