"""Application of the live page: FastAPI with Jinja2 templates, behind the guard of `security.py`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from birdnet_nl.live.connections import Connections
from birdnet_nl.live.events import Events
from birdnet_nl.live.media import Media
from birdnet_nl.live.pages import Pages
from birdnet_nl.live.refused import RefusedError
from birdnet_nl.live.routes_data import add_data_routes
from birdnet_nl.live.routes_pages import add_page_routes
from birdnet_nl.live.security import Guard
from birdnet_nl.live.settings import LiveSettings


class Live:
    """Parts that the routes share."""

    def __init__(self, settings: LiveSettings) -> None:
        self.settings = settings
        self.connections = Connections(settings.database)
        self.events = Events(self.connections)
        self.media = Media(settings)
        self.pages = Pages(settings)


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

    @app.exception_handler(HTTPException)
    async def not_found(request: Request, error: HTTPException) -> Response:
        text = "There is no such page." if error.status_code == 404 else "This method is not possible here."
        return refuse(request, RefusedError(error.status_code, text))

    return Guard(app, live.settings, refuse)
