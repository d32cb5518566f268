"""Rendering of templates in the language of a request; everything is escaped, also where a template forgets it."""

import json
from functools import partial
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from birdnet_nl.live.charts import bars
from birdnet_nl.live.login import is_logged_in
from birdnet_nl.live.queries import Row
from birdnet_nl.live.refused import RefusedError
from birdnet_nl.live.settings import LiveSettings
from birdnet_nl.live.texts import LANGUAGES, choose_language, long_date, species_name, translator, type_class, type_word
from birdnet_nl.stations.corrections import MAX_PERSON, WRONG, correction_types
from birdnet_nl.stations.detection import State

MAX_TAPS = 4  # corrections beside each other; those of models with more types fold away
LANGUAGE_COOKIE = "birdnet_nl_language"
SCRIPT_TEXTS = (
    "connected", "not connected", "new detections", "Play", "Pause", "The recording cannot be played here.",
    "saved", "withdrawn", "Not saved", "detections",
)  # fmt: skip
STATIC_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


class Pages:
    """Templates, static files and texts; both are read once, so that no request reads a file of the package."""

    def __init__(self, settings: LiveSettings) -> None:
        self._settings = settings
        self.static = {
            file.name: (file.read_bytes(), STATIC_TYPES[f".{file.name.rpartition('.')[2]}"])
            for file in (files("birdnet_nl.live") / "static").iterdir()
        }
        self.version = sha256(b"".join(content for _, (content, _) in sorted(self.static.items()))).hexdigest()[:12]
        self._environment = Environment(
            loader=PackageLoader("birdnet_nl.live"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            undefined=StrictUndefined,
        )  # fmt: skip
        self._environment.globals |= {
            "static": f"/static/{self.version}", "settings": settings, "State": State, "WRONG": WRONG, "bars": bars,
            "type_class": type_class, "MAX_TAPS": MAX_TAPS, "languages": LANGUAGES, "max_person": MAX_PERSON,
            "address": address,
        }  # fmt: skip

        self._environment.filters["combine"] = lambda values, others: values | others

    def language(self, request: Request) -> str:
        return choose_language(
            request.query_params.get("lang", ""), request.cookies.get(LANGUAGE_COOKIE, ""), self._settings.language,
            request.headers.get("accept-language", ""),
        )  # fmt: skip

    @staticmethod
    def is_page(path: str) -> bool:
        """Return whether a path is that of a page; others are not repeated in links."""
        return path in ("/", "/patterns", "/check", "/login", "/highlights")

    def render(self, request: Request, name: str, **values: Any) -> str:
        language = self.language(request)
        t = translator(language)
        return self._environment.get_template(name).render(
            t=t,
            language=language,
            type_word=partial(type_word, language=language),
            long_date=partial(long_date, language=language),
            name_of=lambda row: species_name(row.species, row.scientific_name, row.common_name, language),
            taps=partial(taps, language=language),
            may_write=self.may_write(request),
            is_logged_in=self.is_logged_in(request),
            script_texts=json.dumps({text: t(text) for text in SCRIPT_TEXTS}),
            path=request.url.path if self.is_page(request.url.path) else "/",
            query=dict(request.query_params.items()),
            **values,
        )

    def page(self, request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        response = HTMLResponse(self.render(request, name, **values), status)
        if (asked := request.query_params.get("lang")) in LANGUAGES:
            response.set_cookie(LANGUAGE_COOKIE, asked, max_age=365 * 86_400, httponly=True, samesite="strict")
        return response

    def refusal(self, request: Request, error: RefusedError) -> Response:
        """Return a page for a browser, else JSON with the sentence."""
        text = translator(self.language(request))(error.text)
        wants_page = "text/html" in request.headers.get("accept", "") and request.method != "POST"
        if not wants_page:
            return JSONResponse({"message": text}, error.status, error.headers)
        if error.status == 401:
            response = self.page(request, "login.html.j2", 401, problem="")
        else:
            response = self.page(request, "refused.html.j2", error.status, text=text)
        response.headers.update(error.headers)
        return response

    def is_logged_in(self, request: Request) -> bool:
        return is_logged_in(request.headers, request.cookies, self._settings.token)

    def may_write(self, request: Request) -> bool:
        return not self._settings.read_only and (not self._settings.token or self.is_logged_in(request))


def taps(row: Row, language: str) -> list[tuple[str, str, str]]:
    """Return the corrections that are offered: type, label, and kind (`right`, `other` or `wrong`).

    The predicted type is first, then the corrected one and the others by their probability; `wrong` is last.
    """
    t = translator(language)
    ranks = {name: rank for rank, (name, _) in enumerate(row.types)}
    types = sorted(
        (name for name in correction_types(ranks) if name not in (row.predicted, WRONG)),
        key=lambda name: (name != row.corrected, ranks.get(name, len(ranks)) if len(ranks) > MAX_TAPS else 0),
    )
    own = [row.predicted] if row.predicted in correction_types(ranks) else []
    return [
        *((name, f"{t('right')}: {type_word(name, language)}", "right") for name in own),
        *((name, type_word(name, language), "other") for name in types),
        (WRONG, t("wrong species"), "wrong"),
    ]


def address(path: str, values: dict[str, Any]) -> str:
    """Return an address with its query; empty values are left out."""
    query = urlencode({name: value for name, value in values.items() if value not in ("", None)})
    return f"{path}?{query}" if query else path
