"""DICOMweb (PS3.18): everything under /dicom-web."""

from fastapi import APIRouter

from service.dicomweb import frames, metadata, qido, rendered, stow, wado

router = APIRouter()
for _part in (qido, wado, metadata, frames, rendered, stow):
    router.include_router(_part.router)
