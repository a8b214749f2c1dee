"""The pages: the last runs, one run, the streams, the audit queries. They only read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from lakehouse.errors import AuditUnavailable, LakehouseError, ParameterError, SettingsError, SpecError
from lakehouse.log import get_logger, secrets_of
from lakehouse.publish.manifest import Manifest
from lakehouse.serving import contracts, stream_routes
from lakehouse.serving.bars import run_bars
from lakehouse.serving.pages import STATIC, page, trouble
from lakehouse.serving.reader import LONGEST_LIST, Reader, places
from lakehouse.serving.run_page import publishes, run_page
from lakehouse.serving.visitor import Login, Unwelcome, Visitor
from lakehouse.serving.words import Fault
from lakehouse.settings import Settings

log = get_logger(__name__)
_STATUS: dict[type[LakehouseError], tuple[int, str]] = {
    ParameterError: (404, "There is no such run"),
    SpecError: (404, "There is no such contract"),
    AuditUnavailable: (503, "The audit database is away"),
    SettingsError: (503, "A setting is missing"),
}


def make_app(load: Callable[[], Settings], login: Login) -> FastAPI:
    """Return the app; each page asks `login` who the visitor is, and settings are loaded with the first page."""

    async def visited(request: Request) -> None:
        visitor = await login(request)
        if visitor is not Visitor.WELCOME:
            raise Unwelcome(visitor)

    app = FastAPI(title="Lakehouse runs", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.reader = Reader(load)
    app.include_router(_pages, dependencies=[Depends(visited)])
    app.include_router(contracts.router, dependencies=[Depends(visited)])
    app.include_router(stream_routes.router, dependencies=[Depends(visited)])
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(Unwelcome, _unwelcome)
    app.add_exception_handler(LakehouseError, _told)
    app.add_exception_handler(Exception, _untold)
    return app


_pages = APIRouter(default_response_class=HTMLResponse)


@_pages.get("/")
async def last_runs(request: Request, pipeline: str | None = None) -> Response:
    """The newest runs, newest first."""
    reader: Reader = request.app.state.reader
    runs = await reader.runs(pipeline)
    names = sorted({run["pipeline"] for run in runs if publishes(run["pipeline"])})
    manifests = {name: await reader.manifest(name) for name in names}
    return page(
        request,
        "runs.html",
        runs=runs,
        bars=run_bars(runs),
        published={name: each for name, each in manifests.items() if isinstance(each, Manifest)},
        unknown={
            name: Fault.of(str(each)).cause for name, each in manifests.items() if isinstance(each, LakehouseError)
        },
        pipeline=pipeline,
        most=LONGEST_LIST,
        places=places(reader.settings),
    )


@_pages.get("/runs")
async def run_of_airflow(request: Request, dag_run_id: str | None = None, dag_id: str | None = None) -> Response:
    """Where the run of a DAG run is, by Airflow's own names; without one, where all are."""
    reader: Reader = request.app.state.reader
    if dag_run_id is None:
        return RedirectResponse(f"{request.scope['root_path']}/", 303)
    run_id = await reader.run_of(dag_run_id, dag_id)
    return RedirectResponse(f"{request.scope['root_path']}/runs/{quote(run_id, safe='')}", 303)


@_pages.get("/runs/{run_id:path}")
async def one_run(request: Request, run_id: str) -> Response:
    """One run: what became of every row, and why what failed did."""
    reader: Reader = request.app.state.reader
    found = await reader.run(run_id)
    name = found["attempts"][-1]["pipeline"]
    manifest = await reader.manifest(name) if publishes(name) else None
    shown = run_page(found, manifest, secrets_of(reader.settings))
    return page(request, "run.html", shown=shown, places=places(reader.settings))


@_pages.get("/queries")
async def queries(request: Request) -> Response:
    """The audit queries, to copy."""
    reader: Reader = request.app.state.reader
    found = await reader.queries()
    return page(request, "queries.html", queries=found, places=places(reader.settings))


def _unwelcome(request: Request, error: Any) -> Response:
    """Send a person to the login, and back here afterwards; a page in a frame and a program are told instead."""
    if error.visitor is Visitor.REFUSED:
        return trouble(request, 403, "Not for this login", _REFUSED)
    airflow, _, name = str(request.scope.get("root_path", "")).rpartition("/")
    asker = request.headers.get("sec-fetch-dest")
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = f"{airflow}/plugin/{name}{here}" if asker == "iframe" else here  # as Airflow's address bar names its frame
    login = f"{airflow}/api/v2/auth/login?next={quote(back, safe='')}"
    if asker == "document":
        return RedirectResponse(login, 303)
    return trouble(request, 401, "Nobody is logged in", _NO_SESSION, login)


_REFUSED = Fault("This login may not read DAG runs; these pages tell of them.", "", "ask an administrator of Airflow.")
_NO_SESSION = Fault("The session has ended, or there was none.", "", "log in to Airflow.")
_OWN = Fault("This page has a fault of its own.", "", "the log of Airflow's API server says what it is.")


def _told(request: Request, error: Any) -> Response:
    status, title = next((each for kind, each in _STATUS.items() if isinstance(error, kind)), (500, "That went wrong"))
    return trouble(request, status, title, Fault.of(str(error)))


def _untold(request: Request, error: Exception) -> Response:
    log.error("a page failed", path=request.url.path, error=repr(error))
    return trouble(request, 500, "That went wrong", _OWN)
