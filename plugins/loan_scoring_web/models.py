"""The pages of models: versions, comparison, promotions, rollback."""

from fastapi import APIRouter

router = APIRouter()
