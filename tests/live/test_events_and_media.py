"""Events of the live page, its cache of spectrograms, and the command."""

import asyncio
import importlib.util
import json
import os
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.live.connections import Connections
from birdnet_nl.live.events import MAX_CLIENTS, Events
from birdnet_nl.live.media import FileCache, Media, draw
from birdnet_nl.live.queries import read_row
from birdnet_nl.live.refused import RefusedError
from birdnet_nl.live.settings import LiveSettings
from birdnet_nl.stations.station import AudioGoneError
from birdnet_nl.util.errors import DataError

spec = importlib.util.spec_from_file_location("live_factory", Path(__file__).with_name("factory.py"))
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)
TODAY = date.today()


@pytest.fixture
def connection(tmp_path):
    connection = factory.make_database(tmp_path / "detections.db")
    yield connection
    connection.close()


async def collect(events: Events, day: date, act, count: int = 1) -> list[str]:
    """Return the next events of a day after `act()`."""
    stream = events.stream(day)
    assert "event: ready" in await anext(stream)
    act()
    async with asyncio.timeout(10):
        received = [await anext(stream) for _ in range(count)]
    await stream.aclose()
    return received


def test_an_event_names_new_and_deleted_detections_of_its_day_only(tmp_path, connection):
    gone = factory.add_detection(connection, f"{TODAY}T06:00:00")

    def act():
        factory.add_detection(connection, "2020-01-01T06:00:00")
        connection.execute("BEGIN")
        factory.add_detection(connection, f"{TODAY}T07:00:00")
        connection.execute("UPDATE detections SET deleted_at = 1 WHERE id = ?", (gone,))
        connection.execute("COMMIT")

    events = Events(Connections(tmp_path / "detections.db"), interval_s=0.02)
    (event,) = asyncio.run(collect(events, TODAY, act))
    assert event == f'event: changed\ndata: {{"ids": [3, {gone}]}}\n\n'


def test_many_changes_ask_for_the_whole_list(tmp_path, connection):
    events = Events(Connections(tmp_path / "detections.db"), interval_s=0.02)
    (event,) = asyncio.run(collect(events, TODAY, lambda: factory.fill_day(connection, TODAY, 200)))
    assert event == 'event: changed\ndata: {"all": true}\n\n'


def test_a_database_that_appears_later_is_noticed(tmp_path):
    def act():
        connection = factory.make_database(tmp_path / "detections.db")
        factory.add_detection(connection, f"{TODAY}T06:00:00")
        connection.close()

    events = Events(Connections(tmp_path / "detections.db"), interval_s=0.02)
    assert '"ids": [1]' in asyncio.run(collect(events, TODAY, act))[0]


def test_streams_are_limited_forgotten_and_ended(tmp_path, connection):
    async def scenario():
        events = Events(Connections(tmp_path / "detections.db"), interval_s=0.02)
        streams = [events.stream(TODAY) for _ in range(MAX_CLIENTS)]
        for stream in streams:
            await anext(stream)
        with pytest.raises(RefusedError):
            events.check_room()
        await streams[0].aclose()
        events.check_room()
        events.stop()
        for stream in streams[1:]:
            with pytest.raises(StopAsyncIteration):
                async with asyncio.timeout(5):
                    await anext(stream)
        assert not events._clients and not events._versions

    asyncio.run(scenario())


def test_clips_of_a_station_that_sends_them_are_asked_for_once(tmp_path, connection, monkeypatch):
    """BirdNET-Go sends clips over HTTP; the page keeps a copy, and a missing clip is no error of the page."""
    asked = []

    class Station:
        @contextmanager
        def clip(self, detection):
            asked.append(detection.clip)
            if detection.clip == "2":
                raise AudioGoneError("deleted")
            if detection.clip == "3":
                raise DataError("is larger than 100 MB")
            yield factory.write_clip(tmp_path / "sent.wav", 0.5)

    monkeypatch.setattr("birdnet_nl.live.media.open_clips", lambda *_: Station())
    connection.execute('UPDATE stations SET settings = \'{"kind": "birdnet-go", "url": "http://127.0.0.1:1"}\'')
    ids = [factory.add_detection(connection, f"{TODAY}T06:00:00", clip=clip) for clip in ("1", "2", "3")]
    media = Media(LiveSettings(database=tmp_path / "detections.db", cache=tmp_path / "cache"))
    paths = {media.clip(connection, read_row(connection, ids[0])) for _ in range(3)}
    assert len(paths) == 1 and paths.pop().is_relative_to(tmp_path / "cache") and asked == ["1"]
    for id in ids[1:]:
        with pytest.raises(RefusedError):
            media.clip(connection, read_row(connection, id))


def test_a_clip_of_a_birdnet_pi_is_found_in_a_folder_of_another_language(tmp_path, connection):
    clip = factory.write_clip(
        tmp_path / "By_Date" / "2026-05-01" / "Merel" / "Blackbird-80-2026-05-01-birdnet-06:00:00.wav"
    )
    settings = json.dumps({"kind": "birdnet-pi", "clips": str(tmp_path / "By_Date")})
    connection.execute("UPDATE stations SET settings = ?", (settings,))
    id = factory.add_detection(connection, "2026-05-01T06:00:00", clip=f"2026-05-01/Blackbird/{clip.name}")
    media = Media(LiveSettings(database=tmp_path / "detections.db", cache=tmp_path / "cache"))
    assert media.clip(connection, read_row(connection, id)) == clip.resolve()


def test_the_cache_deletes_what_was_unused_for_longest(tmp_path):
    cache = FileCache(tmp_path / "cache", max_bytes=1000)
    for number in range(9):
        cache.write(f"{number}.png", bytes(100))
        (tmp_path / "cache" / f"{number}.png").touch()
    for number in range(9):
        os.utime(tmp_path / "cache" / f"{number}.png", (number, number))
    assert cache.read("0.png") == bytes(100)  # now the latest
    cache.write("big.png", bytes(300))
    cache.shrink()
    left = {file.name for file in (tmp_path / "cache").iterdir()}
    assert "0.png" in left and "big.png" in left and "1.png" not in left
    assert sum(file.stat().st_size for file in (tmp_path / "cache").iterdir()) <= 900


def test_a_cache_that_cannot_be_written_does_not_stop_the_page(tmp_path):
    (tmp_path / "file").write_text("")
    cache = FileCache(tmp_path / "file" / "cache", max_bytes=1000)
    cache.write("a.png", b"x")
    assert cache.read("a.png") is None


def test_a_spectrogram_is_a_png_of_a_clip_and_dimmed_outside_the_prediction(tmp_path):
    clip = factory.write_clip(tmp_path / "a.wav", 3.0)
    whole, part = draw(clip, None, None), draw(clip, 1.0, 2.0)
    assert whole.startswith(b"\x89PNG") and whole != part
    (tmp_path / "b.wav").write_bytes(b"RIFF no sound")
    with pytest.raises(DataError):
        draw(tmp_path / "b.wav", None, None)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--host", "0.0.0.0"], "token"),
        (["--language", "fr"], "--language fr"),
        (["--location", "here"], "--location here"),
        (["--location", "nan,nan"], "--location nan,nan"),
        (["--clips", "/nowhere/at/all"], "no folder"),
        (["--token-file", "/nowhere/token"], "/nowhere/token"),
    ],
)
def test_the_command_refuses_in_one_sentence(arguments, text, tmp_path):
    done = CliRunner().invoke(app, ["serve", "--database", str(tmp_path / "a.db"), *arguments])
    assert done.exit_code == 1 and text in done.output and "Traceback" not in done.output


def test_a_taken_port_is_named(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["serve", "--database", str(tmp_path / "a.db"), "--port", str(port)])
    assert done.exit_code == 1 and str(port) in done.output
