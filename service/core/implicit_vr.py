"""A DICOM file in Implicit VR Little Endian, which every peer takes (PS3.5 10.1), from one in Explicit VR Little Endian."""

from io import BytesIO

from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian


def to_implicit_vr(content: bytes) -> bytes:
    """The same values under the same UIDs; text stays in its bytes and character set."""
    dataset = dcmread(BytesIO(content))
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    written = BytesIO()
    dataset.save_as(written, implicit_vr=True, little_endian=True, enforce_file_format=True)
    return written.getvalue()
