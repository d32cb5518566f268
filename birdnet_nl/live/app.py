"""Application of the live page: FastAPI with Jinja2 templates, behind the guard of `security.py`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import StarletteHTTPException
from fastapi.responses import Response

from birdnet_nl.live.parts import Live
from birdnet_nl.live.refused import RefusedError
from birdnet_nl.live.routes_data import add_data_routes
from birdnet_nl.live.routes_pages import add_page_routes
from birdnet_nl.live.security import Guard


def create_app(live: Live) -> Guard:
    """Return the application; every request passes its guard."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        live.events.stop()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan, redirect_slashes=False)
    add_page_routes(app, live)
    add_data_routes(app, live)

    def refuse(request: Request, error: RefusedError) -> Response:
        return live.pages.refusal(request, error)

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> Response:
        return refuse(request, error)

    @app.exception_handler(Exception)  # it is raised again after the response, and the guard logs it
    async def failed(request: Request, error: Exception) -> Response:
        return refuse(request, RefusedError(500, "Something went wrong on the server; its log has the reason."))

    @app.exception_handler(StarletteHTTPException)
    async def not_found(request: Request, error: StarletteHTTPException) -> Response:
        text = "There is no such page." if error.status_code == 404 else "This method is not possible here."
        return refuse(request, RefusedError(error.status_code, text))

    return Guard(app, live.settings, refuse)
