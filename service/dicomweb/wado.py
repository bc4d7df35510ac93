"""WADO-RS."""

from fastapi import APIRouter

router = APIRouter(prefix="/dicom-web", tags=["dicomweb"])
