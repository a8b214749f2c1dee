"""Templates to answers: everything is escaped, nothing comes from elsewhere, nothing is kept."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lakehouse.serving import words

HERE = Path(__file__).parent
STATIC = HERE / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {name: getattr(words, name) for name in words.FILTERS}
    files = b"".join(path.read_bytes() for path in sorted(STATIC.iterdir()))
    made.globals["edition"] = hashlib.sha256(files).hexdigest()[:8]
    return made


_TEMPLATES = _environment()


def page(request: Request, template: str, status: int = 200, **told: Any) -> HTMLResponse:
    """Return a page; in it `base` is where the pages are mounted and `airflow` the place around it, no / at the end."""
    base = str(request.scope.get("root_path", ""))
    airflow = base.rpartition("/")[0]
    text = _TEMPLATES.get_template(template).render(base=base, airflow=airflow, **told)
    return HTMLResponse(text, status, headers=HEADERS)


def trouble(request: Request, status: int, title: str, fault: words.Fault, login: str = "") -> HTMLResponse:
    """Return the page that says why there is none, with a way to the login where one is given."""
    return page(request, "trouble.html", status, title=title, fault=fault, login=login, places={"console": ""})
