"""How a page is made: templates, headers, redirects and the files the pages use."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from ..http.call import Call, Routes, WireError
from ..http.server import Response

routes = Routes()

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
CONTENT_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
STYLE_HEADERS = [("Content-Type", CONTENT_TYPES[".css"]), ("Cache-Control", "no-store")]
HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    # No form-action: the shop's return address is another origin, and the redirect after paying must pass.
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; frame-ancestors 'none'",
    ),
]
_templates = Environment(loader=FileSystemLoader(FOLDER / "templates"), autoescape=True)


def draw(template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a page made from a template."""
    return Response(status, list(HEADERS), _templates.get_template(template).render(**values).encode())


def go_to(location: str) -> Response:
    """Send the browser on with a GET."""
    return Response(303, [*HEADERS, ("Location", location)])


@routes.get("/static/{name}")
def static(call: Call, name: str) -> Response:
    """Return a style sheet, script or picture."""
    return _file(name)


@routes.get("/static/products/{name}")
def picture(call: Call, name: str) -> Response:
    """Return the picture of a demo product."""
    return _file(f"products/{name}")


def _file(name: str) -> Response:
    path = (STATIC / name).resolve()
    kind = CONTENT_TYPES.get(path.suffix)
    if kind is None or not path.is_relative_to(STATIC.resolve()) or not path.is_file():
        raise WireError(404, "NOT_FOUND")
    return Response(200, [("Content-Type", kind), ("Cache-Control", "max-age=300")], path.read_bytes())
