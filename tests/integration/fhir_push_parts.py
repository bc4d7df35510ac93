"""A report as a transaction, a destination to send it to, and what no message may hold."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from service.adapters.fhir_server import FhirDestination
from service.core.instance import InstanceAttributes
from service.core.report import Report
from service.destination_settings import FhirDestinationSettings
from service.records import RenderedObject, StoredInstance
from service.rendering import Rendering
from tests.calf_report import calf_report, instance
from tests.fhir_server import FhirServer
from tests.integration.flow_parts import received
from tests.web_server import Web, serving

TOKEN, SYSTEM = "Canary-token-7", "urn:oid:1.2.840.99"
SECRETS = (TOKEN, "Doe", "P-42", "A-17", "Canary")


def stored(attributes: InstanceAttributes) -> StoredInstance:
    return StoredInstance(
        instance_id=1,
        attributes=attributes,
        digest=received().digest,
        storage_key="k",
        size_bytes=1,
        disposition="current",
        is_new=True,
        identity_changed=False,
        previous_study_instance_uid=None,
        is_current=True,
        is_returned=False,
        called_ae_title=None,
        calling_ae_title=None,
        received_at=calf_report().created_at,
    )


def rendered(report: Report | None = None) -> RenderedObject:
    (made,) = Rendering().renderers({"fhir"})["fhir"](report or calf_report(), [stored(instance())], [])
    return made


def destination(url: str, **changes: Any) -> dict[str, Any]:
    return {"protocol": "fhir", "name": "record", "url": url, "timeout_seconds": 10, **changes}


def settings(url: str, **changes: Any) -> FhirDestinationSettings:
    return FhirDestinationSettings.model_validate(destination(url, **changes))


def send(url: str, what: RenderedObject, **changes: Any) -> None:
    FhirDestination(settings=settings(url, **changes)).send(what)


@contextmanager
def running(server: FhirServer, *, tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    with serving(lambda: server.answer_last(web), tls=tls) as web:
        yield web


def is_silent(text: str) -> bool:
    return not any(secret in text for secret in SECRETS)


def capability(**changes: Any) -> bytes:
    rest = {"mode": "server", "interaction": [{"code": "transaction"}], "resource": [{"type": "Patient", "updateCreate": True}]}
    return json.dumps({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": [rest | changes]}).encode()
