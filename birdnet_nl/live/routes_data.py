"""Data of the live page: rows as HTML, events, clips, spectrograms, CSV, and corrections."""

import json
from datetime import date

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse

from birdnet_nl.live.csv_export import csv_blocks
from birdnet_nl.live.media import MEDIA_TYPES
from birdnet_nl.live.parts import Live
from birdnet_nl.live.queries import (
    DaySummary,
    Filters,
    day_groups,
    read_day,
    read_id,
    read_ids,
    read_row,
    read_rows,
    read_rows_of_ids,
)  # fmt: skip
from birdnet_nl.live.refused import RefusedError
from birdnet_nl.stations.corrections import WITHDRAWN, add_correction, withdraw_correction
from birdnet_nl.util.errors import DataError

CLIP_HEADERS = {"cache-control": "private, max-age=3600", "accept-ranges": "bytes"}
IMAGE_HEADERS = {"cache-control": "private, max-age=86400"}


def add_data_routes(app: FastAPI, live: Live) -> None:
    connections, pages = live.connections, live.pages

    @app.get("/rows")
    def rows(request: Request) -> Response:
        """Rows that the filters select: a page, or those of the given ids, with the counts of the day."""
        query = request.query_params
        filters = Filters.read(query, date.today())
        with connections.reading() as connection:
            if "ids" in query:
                found, more = read_rows_of_ids(connection, read_ids(query["ids"]), filters), None
            else:
                found, more = read_rows(connection, filters, query.get("before", ""))
            summary = DaySummary.of(connections.cached(day_groups, filters.day), filters)
        shown = {"summary": summary, "filters": filters}
        return JSONResponse({
            "rows": pages.render(request, "rows.html.j2", rows=found),
            "more": more,
            "selected": summary.selected,
            "summary": pages.render(request, "summary.html.j2", **shown),
            "options": pages.render(request, "options.html.j2", **shown),
            "empty": "" if summary.selected else pages.render(request, "nothing.html.j2", **shown),
        })  # fmt: skip

    @app.get("/events")
    async def events(request: Request) -> Response:
        day = read_day(request.query_params.get("day", ""), date.today())
        live.events.check_room()
        return StreamingResponse(
            live.events.stream(day), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    @app.get("/detections/{id}/clip")
    def clip(request: Request, id: str) -> Response:
        with connections.reading() as connection:
            path = live.media.clip(connection, read_row(connection, read_id(id)))
        return FileResponse(path, media_type=MEDIA_TYPES[path.suffix.lower()], headers=CLIP_HEADERS)

    @app.get("/detections/{id}/spectrogram.png")
    def spectrogram(request: Request, id: str) -> Response:
        with connections.reading() as connection:
            row = read_row(connection, read_id(id))
            path = live.media.clip(connection, row)
        return Response(live.media.spectrogram(path, row), media_type="image/png", headers=IMAGE_HEADERS)

    @app.get("/detections.csv")
    def export(request: Request) -> Response:
        filters = Filters.read(request.query_params, date.today())
        if not connections.exists():
            raise RefusedError(503, "The database cannot be read now.")
        name = f"detections_{filters.day.isoformat()}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(
            csv_blocks(connections, filters), media_type="text/csv; charset=utf-8", headers=headers
        )

    @app.post("/detections/{id}/correction")
    async def correct(request: Request, id: str) -> Response:
        """Store a correction: `type` (empty to withdraw), `person`, `comment` and the `result` that was shown."""
        values = read_correction(await request.body())
        row = await run_in_threadpool(_store, read_id(id), values)
        return JSONResponse({"row": pages.render(request, "rows.html.j2", rows=[row])})

    def _store(id: int, values: dict) -> object:
        with connections.writing() as connection:
            try:
                if values["type"] == WITHDRAWN:
                    withdraw_correction(connection, id, values["person"], values["comment"])
                else:
                    add_correction(connection, id, result=values["result"], **{
                        name: values[name] for name in ("type", "person", "comment")
                    })  # fmt: skip
            except DataError:
                raise RefusedError(404, "There is no such detection.") from None
            except ValueError:
                raise RefusedError(400, "The correction is not possible.") from None
        with connections.reading() as connection:
            return read_row(connection, id)


def read_correction(body: bytes) -> dict:
    """Read the JSON of a correction; raises `RefusedError` for anything else."""
    impossible = RefusedError(400, "The correction is not possible.")
    try:
        values = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise impossible from None
    if not isinstance(values, dict) or not isinstance(values.get("type"), str):
        raise impossible
    texts = {name: values.get(name, "") for name in ("person", "comment")}
    result = values.get("result")
    if not all(isinstance(text, str) for text in texts.values()):
        raise impossible
    if result is not None and (type(result) is not int or not 0 < result < 2**63):
        raise impossible
    return {"type": values["type"], "result": result, **texts}
