"""The model manager: scores on demand, extracts, batches, drift, alerts, models."""

from fastapi import APIRouter

router = APIRouter()
