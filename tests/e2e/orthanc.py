"""A real Orthanc: a PACS that auto-routes everything that it stores to Sonomyo, or a DICOMweb server."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.peers import peer
from tests.running import free_port, poll

_AUTO_ROUTE = """
function OnStoredInstance(instanceId, tags, metadata)
  SendToModality(instanceId, 'sonomyo')
end
"""


@contextmanager
def running_orthanc(folder: Path, *, dicom_port: int, sonomyo_port: int) -> Iterator[httpx2.Client]:
    """Start it on `dicom_port`; gives a client of its REST interface."""
    script = folder / "route.lua"
    script.write_text(_AUTO_ROUTE)
    configuration = {
        "DicomPort": dicom_port,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomModalities": {"sonomyo": ["SONOMYO", "127.0.0.1", sonomyo_port]},
        "LuaScripts": [str(script)],
    }
    port = free_port()
    with _running(folder, port, configuration), httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        poll(lambda: _answers(client), timeout_seconds=30, what="Orthanc")
        yield client


@contextmanager
def committing_orthanc(folder: Path, *, dicom_port: int, sonomyo_port: int) -> Iterator[httpx2.Client]:
    """One that asks for, and gives, Storage Commitment, with DICOMweb; routes nothing. Gives a client of its REST interface."""
    configuration = {
        "DicomPort": dicom_port,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomModalities": {
            "sonomyo": {"AET": "SONOMYO", "Host": "127.0.0.1", "Port": sonomyo_port, "AllowStorageCommitment": True}
        },
        "Plugins": [peer("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")],
    }
    port = free_port()
    with _running(folder, port, configuration), httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        poll(lambda: _answers(client), timeout_seconds=30, what="Orthanc")
        yield client


@contextmanager
def dicom_web_orthanc(folder: Path, *, username: str, password: str) -> Iterator[httpx2.Client]:
    """DICOMweb under `/dicom-web` with a password; gives a client of the REST interface that has it.

    Without TLS: Debian's build (1.10.1) ends with a segmentation fault at the first request over HTTPS.
    """
    configuration = {
        "DicomServerEnabled": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {username: password},
        "Plugins": [peer("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")],
    }
    port, auth = free_port(), (username, password)
    with _running(folder, port, configuration), httpx2.Client(base_url=f"http://127.0.0.1:{port}", auth=auth) as client:
        poll(lambda: _answers(client), timeout_seconds=30, what="Orthanc")
        yield client


@contextmanager
def _running(folder: Path, http_port: int, configuration: Mapping[str, Any]) -> Iterator[None]:
    common = {
        "Name": "PACS",
        "DicomAet": "ORTHANC",
        "HttpPort": http_port,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps({**common, **configuration}))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([peer("/usr/sbin/Orthanc"), str(path)], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/system").status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False
