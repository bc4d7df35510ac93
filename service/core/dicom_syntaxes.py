"""The SOP classes and transfer syntaxes that the listener takes (PS3.4 B.5, PS3.6 A)."""

from service.core.dataset_scan import DEFLATED

VERIFICATION = "1.2.840.10008.1.1"
#: Storage Commitment Push Model (PS3.4 J.3.5).
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"

_STORAGE = "1.2.840.10008.5.1.4.1.1."
STORAGE_SOP_CLASSES = tuple(
    _STORAGE + suffix
    for suffix in (
        "6.1",  # Ultrasound Image
        "3.1",  # Ultrasound Multi-frame Image
        "6",  # Ultrasound Image (retired)
        "3",  # Ultrasound Multi-frame Image (retired)
        "6.2",  # Enhanced US Volume
        "7",  # Secondary Capture Image
        "7.1",  # Multi-frame Single Bit Secondary Capture
        "7.2",  # Multi-frame Grayscale Byte Secondary Capture
        "7.3",  # Multi-frame Grayscale Word Secondary Capture
        "7.4",  # Multi-frame True Color Secondary Capture
        "77.1.4.1",  # Video Photographic Image
        "88.11",  # Basic Text SR
        "88.22",  # Enhanced SR
        "88.33",  # Comprehensive SR
        "88.34",  # Comprehensive 3D SR
        "88.59",  # Key Object Selection Document
        "66.4",  # Segmentation
        "104.1",  # Encapsulated PDF
    )
)

_SYNTAX = "1.2.840.10008.1.2"
TRANSFER_SYNTAXES = tuple(
    _SYNTAX + suffix
    for suffix in (
        ".1",  # Explicit VR Little Endian
        "",  # Implicit VR Little Endian
        ".2",  # Explicit VR Big Endian (retired)
        ".5",  # RLE Lossless
        ".4.50",  # JPEG Baseline
        ".4.51",  # JPEG Extended
        ".4.57",  # JPEG Lossless
        ".4.70",  # JPEG Lossless, first-order prediction
        ".4.80",  # JPEG-LS Lossless
        ".4.81",  # JPEG-LS Near-lossless
        ".4.90",  # JPEG 2000 Lossless
        ".4.91",  # JPEG 2000
        ".4.92",  # JPEG 2000 Part 2 Lossless
        ".4.93",  # JPEG 2000 Part 2
        ".4.201",  # HTJ2K Lossless
        ".4.202",  # HTJ2K Lossless RPCL
        ".4.203",  # HTJ2K
        ".4.100",  # MPEG-2 Main Profile / Main Level
        ".4.100.1",
        ".4.101",  # MPEG-2 Main Profile / High Level
        ".4.101.1",
        ".4.102",  # MPEG-4 AVC/H.264 High Profile
        ".4.102.1",
        ".4.103",  # MPEG-4 AVC/H.264 BD-compatible
        ".4.103.1",
        ".4.104",  # MPEG-4 AVC/H.264 for 2D video
        ".4.104.1",
        ".4.105",  # MPEG-4 AVC/H.264 for 3D video
        ".4.105.1",
        ".4.106",  # MPEG-4 AVC/H.264 Stereo
        ".4.106.1",
        ".4.107",  # HEVC/H.265 Main Profile
        ".4.108",  # HEVC/H.265 Main 10 Profile
    )
)


def refusal_of_context(abstract_syntax: str, transfer_syntaxes: tuple[str, ...], *, result: int) -> str:
    """Why a context was refused, and what would mend it, in words."""
    if result == 3:  # noqa: PLR2004 - abstract-syntax-not-supported, PS3.8 9.3.3.2
        return f"SOP class {abstract_syntax} is not taken; the setting dicom.private_sop_classes can add it"
    offered = ", ".join(transfer_syntaxes)
    if transfer_syntaxes and DEFLATED.issuperset(transfer_syntaxes):
        return f"only deflated transfer syntaxes were offered ({offered}); they are refused because they can hold a bomb"
    return f"none of the offered transfer syntaxes is taken: {offered}"
