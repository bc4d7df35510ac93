"""Real programs from Debian packages: in CI a missing one fails the test, elsewhere it skips with the reason."""

import os
import shutil
from pathlib import Path

import pytest

#: Program -> Debian package. Found by path, for pynetdicom installs scripts of the same names.
PACKAGES = {
    "/usr/bin/storescu": "dcmtk",
    "/usr/bin/storescp": "dcmtk",
    "/usr/bin/echoscu": "dcmtk",
    "/usr/bin/dcmconv": "dcmtk",
    "/usr/bin/dcmcjpeg": "dcmtk",
    "/usr/bin/dcmcjpls": "dcmtk",
    "/usr/bin/dsr2html": "dcmtk",
    "/usr/sbin/Orthanc": "orthanc",
    "/usr/share/orthanc/plugins/libOrthancDicomWeb.so": "orthanc-dicomweb",
    "/usr/bin/chromium": "chromium",
    "/usr/bin/strace": "strace",
}


def peer(path: str) -> str:
    """The program's path; fails in CI and skips elsewhere when it is missing."""
    if Path(path).exists():
        return path
    found = shutil.which(Path(path).name)
    if found is not None and ".venv" not in found:
        return found
    missing = f"{path} is missing: apt-get install {PACKAGES[path]}"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


#: What draws the viewer's plots; set-up installs it.
PLOTS = Path(__file__).resolve().parents[1] / "service/web/static/vendor/uplot/uPlot.esm.js"
