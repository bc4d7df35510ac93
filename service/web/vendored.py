"""What scripts/web_packages.py may have installed beside the pages; none of it is in git, and nothing but itself needs it."""

from pathlib import Path
from urllib.parse import urlencode

OHIF_PREFIX = "/ohif"
OHIF = Path(__file__).parent / "vendor" / "ohif"


def ohif_bundle() -> str | None:
    """The name of OHIF's main script; None where OHIF is not installed."""
    return next((path.name for path in OHIF.glob("app.bundle.*.js")), None)


def ohif_url(study_instance_uid: str) -> str | None:
    """Where OHIF shows this study, for a link; None where OHIF is not installed. Templates call it by this name."""
    if ohif_bundle() is None:
        return None
    return f"{OHIF_PREFIX}/viewer?{urlencode({'StudyInstanceUIDs': study_instance_uid})}"
