"""A real Orthanc that auto-routes everything that it stores to Sonomyo."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    http_port = free_port()
    script = folder / "route.lua"
    script.write_text(_AUTO_ROUTE)
    configuration = folder / "orthanc.json"
    configuration.write_text(
        json.dumps(
            {
                "Name": "PACS",
                "DicomAet": "ORTHANC",
                "DicomPort": dicom_port,
                "HttpPort": http_port,
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "AuthenticationEnabled": False,
                "DicomAlwaysAllowStore": True,
                "DicomModalities": {"sonomyo": ["SONOMYO", "127.0.0.1", sonomyo_port]},
                "LuaScripts": [str(script)],
                "Plugins": [],
            }
        )
    )
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([peer("/usr/sbin/Orthanc"), str(configuration)], stdout=log, stderr=log)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{http_port}", timeout=30) as client:
            poll(lambda: _answers(client), timeout_seconds=30, what="Orthanc")
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/system").status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False
