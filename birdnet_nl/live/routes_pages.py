"""Pages of the live page: a day, highlights, patterns of a species, detections to check, and login."""

from datetime import date, timedelta
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from birdnet_nl.live.login import COOKIE, SESSION_S, is_token, new_session
from birdnet_nl.live.parts import Live
from birdnet_nl.live.patterns import (
    DAWN_DAYS,
    alarm_bursts,
    dawn_songs,
    first_songs_of_year,
    rows_of_type,
    species_of_year,
    species_patterns,
    sunrise,
    years,
)  # fmt: skip
from birdnet_nl.live.queries import (
    MAX_VALUE,
    DaySummary,
    Filters,
    day_groups,
    latest_day,
    read_rows,
    read_rows_of_ids,
)  # fmt: skip
from birdnet_nl.live.refused import RefusedError
from birdnet_nl.stations.corrections import least_certain

CHECK_ROWS = 30  # the number that docs/field.md advises for one round


def add_page_routes(app: FastAPI, live: Live) -> None:
    connections, pages, settings = live.connections, live.pages, live.settings

    @app.get("/")
    def day_page(request: Request) -> Response:
        filters = Filters.read(request.query_params, date.today())
        if not connections.exists():
            return pages.page(request, "empty.html.j2")
        with connections.reading() as connection:
            rows, more = read_rows(connection, filters, request.query_params.get("before", ""))
            summary = DaySummary.of(connections.cached(day_groups, filters.day), filters)
            latest = "" if summary.total else latest_day(connection)
        if not summary.total and not latest:
            return pages.page(request, "empty.html.j2")
        return pages.page(
            request, "day.html.j2", rows=rows, more=more, filters=filters, summary=summary, latest=latest,
            today=date.today(), one_day=timedelta(days=1),
        )  # fmt: skip

    @app.get("/highlights")
    def highlights(request: Request) -> Response:
        day = Filters.read(request.query_params, date.today()).day
        with connections.reading() as connection:
            songs = rows_of_type(connection, day, "song")
            bursts = alarm_bursts(rows_of_type(connection, day, "alarm"))
            first = first_songs_of_year(connection, songs, day)
        return pages.page(
            request, "highlights.html.j2", first=first, bursts=bursts, day=day, rise=sunrise(day, *settings.location),
            dawn=dawn_songs(songs, settings.location),
        )  # fmt: skip

    @app.get("/patterns")
    def patterns_page(request: Request) -> Response:
        if not connections.exists():
            return pages.page(request, "empty.html.j2")
        species, year_text = request.query_params.get("species", ""), request.query_params.get("year", "")
        if len(species) > MAX_VALUE or "\0" in species or len(year_text) > 4:
            raise RefusedError(400, "A filter in the address is not possible.")
        with connections.reading() as connection:
            known_years = years(connection)
            year = int(year_text) if year_text.isascii() and year_text.isdigit() else date.today().year
            if year not in known_years:
                year = known_years[0] if known_years else date.today().year
            choices = species_of_year(connection, year)
            species = species or next((row.key for row in choices), "")
            patterns = species_patterns(connection, species, year) if species else None
            songs = rows_of_type(connection, date.today(), "song", DAWN_DAYS, species) if species else []
        return pages.page(
            request, "patterns.html.j2", species=species, year=year, years=known_years, choices=choices,
            patterns=patterns, dawn=dawn_songs(songs, settings.location)[::-1],
        )  # fmt: skip

    @app.get("/check")
    def check_page(request: Request) -> Response:
        if not connections.exists():
            return pages.page(request, "empty.html.j2")
        with connections.reading() as connection:
            ids = [detection.id for detection in least_certain(connection, CHECK_ROWS)]
            rows = {row.id: row for row in read_rows_of_ids(connection, ids)} if ids else {}
        return pages.page(request, "check.html.j2", show_day=True, rows=[rows[id] for id in ids if id in rows])

    @app.get("/login")
    def login_page(request: Request) -> Response:
        return pages.page(request, "login.html.j2", problem="")

    @app.post("/login")
    async def log_in(request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=5)
        if not is_token(form.get("token", [""])[0].strip(), settings.token):
            return pages.page(request, "login.html.j2", 403, problem="The token is not right.")
        response = RedirectResponse("/", 303)
        response.set_cookie(
            COOKIE, new_session(settings.token), max_age=SESSION_S, httponly=True, samesite="strict",
            secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",  # of a server in front
        )  # fmt: skip
        return response

    @app.post("/logout")
    async def log_out(request: Request) -> Response:
        response = RedirectResponse("/", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    @app.get("/health")
    def health() -> Response:
        return Response("ok\n", media_type="text/plain")

    @app.get("/static/{version}/{name}")
    def static(version: str, name: str) -> Response:
        if name not in pages.static:
            raise RefusedError(404, "There is no such page.")
        content, media_type = pages.static[name]
        is_current = version == pages.version
        return Response(
            content, media_type=media_type,
            headers={"cache-control": "public, max-age=31536000, immutable" if is_current else "no-cache"},
        )  # fmt: skip
