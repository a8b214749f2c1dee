"""Airflow's own login, whichever auth manager it runs with: an app that a plugin mounts is not behind it by itself."""

from __future__ import annotations

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from fastapi import HTTPException, Request

from lakehouse.serving.visitor import Visitor


async def airflow_login(request: Request) -> Visitor:
    """Let in whoever Airflow lets read DAG runs, by its cookie or a bearer token."""
    try:
        user = await get_user(request, None, await bearer_scheme(request))
    except HTTPException:  # none, expired, forged or revoked
        return Visitor.UNKNOWN
    may_read = get_auth_manager().is_authorized_dag(method="GET", access_entity=DagAccessEntity.RUN, user=user)
    return Visitor.WELCOME if may_read else Visitor.REFUSED
