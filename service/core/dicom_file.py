"""A data set as a DICOM file (PS3.10 7), its head a function of UIDs alone."""

import io

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from service.core.part10 import encode_head

IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"


def encode_file(dataset: Dataset, *, transfer_syntax_uid: str = EXPLICIT_LITTLE_ENDIAN) -> bytes:
    """Head and data set; text stays in its bytes and character set. Raises what pydicom does for values that cannot be written.

    Any syntax but Implicit VR Little Endian is taken for one whose data set is Explicit VR Little Endian (PS3.5 A.2, A.4).
    """
    buffer = io.BytesIO()
    buffer.write(
        encode_head(
            sop_class_uid=str(dataset.SOPClassUID),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            transfer_syntax_uid=transfer_syntax_uid,
        )
    )
    # Without the File Meta Information and preamble that a data set may carry.
    dcmwrite(buffer, Dataset(dataset), implicit_vr=transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN, little_endian=True)
    return buffer.getvalue()
