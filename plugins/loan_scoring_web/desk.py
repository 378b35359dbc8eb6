"""The approver's desk: applications in review and referred ones, and what persons decided."""

from fastapi import APIRouter

router = APIRouter()
