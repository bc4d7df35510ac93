"""Instances sent by real peers, and what the report of their study says."""

import subprocess
from pathlib import Path
from typing import Any

import pydicom
from pynetdicom import AE

from tests.peers import peer
from tests.running import RunningService

#: storescu proposes a compressed syntax only when told to.
OPTIONS = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.4.100": "-xm",
    "1.2.840.10008.1.2.4.102": "-xn",
    "1.2.840.10008.1.2.4.103": "-xl",
    "1.2.840.10008.1.2.4.107": "-x4",
    "1.2.840.10008.1.2.5": "-xr",
}
#: What storescu has no option for, it takes from a file of settings.
CONFIGURATION = """[[TransferSyntaxes]]
[Only]
TransferSyntax1 = {syntax}
[[PresentationContexts]]
[Cine]
PresentationContext1 = {sop_class}\\Only
[[Profiles]]
[Default]
PresentationContexts = Cine
"""


def send(service: RunningService, path: Path) -> None:
    """Send by DCMTK's storescu, in the syntax that the file is stored in."""
    meta = pydicom.dcmread(path, stop_before_pixels=True).file_meta
    options = options_for(path, meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID)
    command = [peer("/usr/bin/storescu"), *options, "-aec", "SONOMYO", "127.0.0.1", str(service.dicom_port), str(path)]
    sent = subprocess.run(command, check=False, capture_output=True, text=True, env={"TCP_NODELAY": "1", "PATH": "/usr/bin"})
    assert sent.returncode == 0, sent.stderr


def options_for(path: Path, syntax: str, sop_class: str) -> list[str]:
    if syntax in OPTIONS:
        return [OPTIONS[syntax]]
    configuration = path.with_suffix(".cfg")
    configuration.write_text(CONFIGURATION.format(syntax=syntax, sop_class=sop_class), encoding="ascii")
    return ["-xf", str(configuration), "Default"]


def send_by_pynetdicom(service: RunningService, path: Path) -> None:
    """For a syntax that Debian's DCMTK does not know."""
    data_set = pydicom.dcmread(path)
    entity = AE("STRANGER")
    entity.add_requested_context(data_set.SOPClassUID, data_set.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", service.dicom_port, ae_title="SONOMYO")
    try:
        assert association.send_c_store(data_set).Status == 0
    finally:
        association.release()


def study_of(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID)


def findings(report: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [finding for finding in report["findings"] if finding["name"] == name]
