"""Pages of the live page, in process: content, filters, languages, corrections and empty states."""

import csv
import importlib.util
import io
import json
from datetime import date, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from birdnet_nl.live.app import create_app
from birdnet_nl.live.parts import Live
from birdnet_nl.live.settings import LiveSettings

spec = importlib.util.spec_from_file_location("live_factory", Path(__file__).with_name("factory.py"))
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)

ORIGIN = {"origin": "http://localhost"}
PAGE = {"accept": "text/html"}


@pytest.fixture
def connection(tmp_path):
    connection = factory.make_database(tmp_path / "detections.db", tmp_path / "clips")
    yield connection
    connection.close()


def client(tmp_path, **settings) -> TestClient:
    values = {"database": tmp_path / "detections.db", "cache": tmp_path / "cache"} | settings
    app = create_app(Live(LiveSettings(**values)))
    return TestClient(app, base_url="http://localhost", headers=PAGE)


def at(time: str) -> str:
    return f"{date.today()}T{time}"


def correct(page: TestClient, id: int, type: str, person: str = "Anna", **values):
    return page.post(f"/detections/{id}/correction", json={"type": type, "person": person, **values}, headers=ORIGIN)


def test_a_day_shows_each_detection_with_type_probability_and_certainty(tmp_path, connection):
    factory.add_detection(connection, at("06:12:08"), "merel", "alarm", 0.93, clip="a.wav")
    factory.add_detection(connection, at("07:00:00"), "koolmees", "song", 0.41, uncertain=True)
    factory.add_detection(connection, at("08:00:00"), "vink", "", state="no model")
    text = client(tmp_path).get("/").text
    assert "Common Blackbird" in text or "Blackbird" in text
    assert "06:12:08" in text and "alarm 93 %" in text and "song 41 % · uncertain" in text and "no model" in text
    assert "/detections/1/spectrogram.png" in text and "/detections/1/clip" in text
    assert text.index("08:00:00") < text.index("07:00:00") < text.index("06:12:08")


def test_the_page_is_dutch_where_asked_and_remembers_it(tmp_path, connection):
    factory.add_detection(connection, at("06:12:08"), "merel", "song", 0.9)
    page = client(tmp_path)
    assert "Merel" in page.get("/", headers={"accept-language": "nl-NL,nl;q=0.9,en;q=0.8"}).text
    assert "Merel" not in page.get("/", headers={"accept-language": "de,en;q=0.8"}).text
    text = page.get("/?lang=nl").text
    assert 'lang="nl"' in text and "zang 90 %" in text
    assert "Merel" in page.get("/").text  # by a cookie
    assert "Merel" in client(tmp_path, language="nl").get("/", headers={"accept-language": "en"}).text


@pytest.mark.parametrize(
    ("query", "times"),
    [
        ("species=merel", {"06:00:00", "07:00:00"}),
        ("type=song", {"06:00:00", "08:00:00"}),
        ("type=none", {"09:00:00"}),
        ("certainty=uncertain", {"08:00:00", "09:00:00"}),
        ("certainty=certain&species=merel", {"06:00:00", "07:00:00"}),
        ("species=Passer+fictus", {"09:00:00"}),
        ("day=2026-01-05", {"05:00:00"}),
    ],
)
def test_filters_select_the_same_rows_in_the_page_the_data_and_the_csv(tmp_path, connection, query, times):
    factory.add_detection(connection, at("06:00:00"), "merel", "song")
    factory.add_detection(connection, at("07:00:00"), "merel", "call")
    factory.add_detection(connection, at("08:00:00"), "vink", "song", 0.4, uncertain=True)
    factory.add_detection(connection, at("09:00:00"), "Passer fictus", "")
    factory.add_detection(connection, "2026-01-05T05:00:00", "vink")
    page, everything = client(tmp_path), {"05:00:00", "06:00:00", "07:00:00", "08:00:00", "09:00:00"}
    answer = page.get(f"/rows?{query}").json()
    assert answer["selected"] == len(times)
    for text in (page.get(f"/?{query}").text, answer["rows"], page.get(f"/detections.csv?{query}").text):
        assert {time for time in everything if time in text} == times


def test_all_rows_are_reached_page_by_page(tmp_path, connection):
    for number in range(70):
        factory.add_detection(connection, at(f"06:{number // 2:02d}:00"), "merel")
    page, cursor, ids = client(tmp_path), "", []
    while True:
        answer = page.get("/rows", params={"before": cursor}).json()
        ids += [int(part.split('"')[0]) for part in answer["rows"].split('data-id="')[1:]]
        cursor = answer["more"]
        if not cursor:
            break
    assert ids == list(range(70, 0, -1))


def test_a_correction_counts_and_can_be_withdrawn(tmp_path, connection):
    id = factory.add_detection(connection, at("06:00:00"), "merel", "song", 0.6)
    page = client(tmp_path)
    answer = correct(page, id, "alarm")
    assert answer.status_code == 200 and "corrected by Anna" in answer.json()["row"]
    assert page.get("/rows?type=alarm").json()["selected"] == 1
    assert page.get("/rows?certainty=corrected").json()["selected"] == 1
    assert correct(page, id, "").status_code == 200
    assert page.get("/rows?type=alarm").json()["selected"] == 0
    assert [row["type"] for row in connection.execute("SELECT type FROM corrections ORDER BY id")] == ["alarm", ""]


@pytest.mark.parametrize(
    ("id", "values", "status"),
    [
        (1, {"type": "yodel"}, 400),
        (1, {"type": "song", "person": ""}, 400),
        (1, {"type": "song", "person": "x" * 200}, 400),
        (1, {"type": "song", "person": ["Anna"]}, 400),
        (1, {"type": "song", "result": 10**30}, 400),
        (1, {"type": "song", "result": 99}, 404),
        (2, {"type": "song"}, 404),
        (2**63, {"type": "song"}, 404),
        ("1 OR 1=1", {"type": "song"}, 404),
    ],
)
def test_an_impossible_correction_is_refused_and_not_stored(tmp_path, connection, id, values, status):
    factory.add_detection(connection, at("06:00:00"))
    answer = client(tmp_path).post(f"/detections/{id}/correction", json={"person": "Anna", **values}, headers=ORIGIN)
    assert answer.status_code == status and "Traceback" not in answer.text
    assert connection.execute("SELECT count(*) FROM corrections").fetchone()[0] == 0


def test_without_a_database_the_page_says_what_to_do(tmp_path):
    answer = client(tmp_path).get("/")
    assert answer.status_code == 200 and "birdnet-nl watch birdnet-pi" in answer.text
    assert not (tmp_path / "detections.db").exists()


def test_an_empty_day_leads_to_the_latest_one_and_filters_can_be_reset(tmp_path, connection):
    factory.add_detection(connection, "2026-01-05T05:00:00")
    page = client(tmp_path)
    assert "day=2026-01-05" in page.get("/").text and "No detections on this day." in page.get("/").text
    assert "No detection matches the filters." in page.get("/?day=2026-01-05&type=alarm").text


def test_the_page_to_check_shows_the_least_certain_without_a_correction(tmp_path, connection):
    ids = [
        factory.add_detection(connection, at(f"06:0{number}:00"), probability=0.9 - 0.1 * number) for number in range(3)
    ]
    page = client(tmp_path)
    correct(page, ids[2], "song")
    text = page.get("/check").text
    assert text.index(f'id="d{ids[1]}"') < text.index(f'id="d{ids[0]}"') and f'id="d{ids[2]}"' not in text


def test_deleted_detections_are_not_shown(tmp_path, connection):
    id = factory.add_detection(connection, at("06:00:00"), deleted_at=1.0)
    page = client(tmp_path)
    assert page.get("/rows").json()["selected"] == 0
    assert page.get(f"/detections/{id}/clip").status_code == 404


def test_csv_has_probabilities_and_corrections_and_no_formulas(tmp_path, connection):
    id = factory.add_detection(
        connection, at("06:00:00"), "merel", "song", 0.8, common_name="=HYPERLINK(1)", source="@mic"
    )
    page = client(tmp_path)
    correct(page, id, "call", person="+Anna", comment="-1+cmd|' /C calc'!A0")
    answer = page.get("/detections.csv")
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row["song"] == "0.8" and row["corrected"] == "call" and row["person"] == "'+Anna"
    assert row["common_name"] == "'=HYPERLINK(1)" and row["source"] == "'@mic" and row["comment"].startswith("'-1")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


TEN = ("song", "call", "alarm", "flight_call", "begging", "drumming", "contact_b")


def test_a_page_takes_the_types_of_any_model(tmp_path, connection):
    id = factory.add_detection(connection, at("06:12:08"), "grote_bonte_specht", "drumming", 0.9, types=TEN)
    other = factory.add_detection(connection, at("06:20:00"), "merel", "song", 0.9)
    page = client(tmp_path)
    text = page.get("/").text
    assert "drumming 90 %" in text and 'badge drumming"' in text and "right: drumming" in text
    assert "roffel 90 %" in page.get("/?lang=nl").text and page.get("/?lang=en").status_code == 200
    assert 'data-type="contact_b"' in text and 'class="chip other"' in text and "<details>" in text
    assert text.count('data-type="begging"') == 1  # only where the model predicts it
    assert "drumming 90 %" in page.get("/?type=drumming").text and "song 90 %" not in page.get("/?type=drumming").text
    assert '<i class="chip drumming"></i>drumming' in text  # a tile
    assert 'class="drumming"' in page.get("/patterns?species=grote_bonte_specht").text
    assert correct(page, id, "flight_call").status_code == 200 and correct(page, id, "contact_b").status_code == 200
    assert correct(page, other, "drumming").status_code == 400 and correct(page, other, "alarm").status_code == 200
    assert correct(page, id, "../x").status_code == 400 and correct(page, id, ["song"]).status_code == 400
    (first, second) = csv.DictReader(io.StringIO(page.get("/detections.csv").text))
    assert (first["drumming"], first["corrected"], second["drumming"]) == ("0.9", "contact_b", "")
    assert list(first)[10:17] == ["song", "call", "alarm", "begging", "contact_b", "drumming", "flight_call"]


def test_types_that_are_no_names_are_shown_and_cannot_be_stored(tmp_path, connection):
    for number, types in enumerate((("song", "=1+1"), ("song", "../../etc"), ("song", "<b>x</b>"))):
        factory.add_detection(connection, at(f"06:00:0{number}"), "merel", "song", 0.6, types=types)
    connection.execute("UPDATE results SET probabilities = '[1, 2]' WHERE id = 2")
    connection.execute("UPDATE results SET probabilities = '{broken' WHERE id = 3")
    page = client(tmp_path)
    assert page.get("/").status_code == 200 and page.get("/check").status_code == 200
    header = page.get("/detections.csv").text.splitlines()[0].split(",")
    assert "'=1+1" in header and "=1+1" not in header
    assert correct(page, 1, "=1+1").status_code == 400 and correct(page, 2, "../../etc").status_code == 400


def test_csv_of_a_large_day_has_every_row_once(tmp_path, connection):
    factory.fill_day(connection, date.today(), 2_345)
    rows = list(csv.DictReader(io.StringIO(client(tmp_path).get("/detections.csv").text)))
    assert len({row["key"] for row in rows}) == len(rows) == 2_345
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


def test_patterns_show_hours_weeks_and_the_first_song(tmp_path, connection):
    year = datetime.now().year
    factory.add_detection(connection, f"{year}-01-20T07:50:00", "merel", "song")
    factory.add_detection(connection, f"{year}-01-20T07:55:00", "merel", "alarm", 0.4, uncertain=True)
    text = client(tmp_path).get("/patterns?species=merel").text
    assert f"{year}-01-20" in text and '<rect class="song"' in text and '<rect class="alarm"' not in text
    assert "<caption" in text or '<th scope="row">7</th>' in text


def test_probabilities_that_are_no_json_object_do_not_break_the_page(tmp_path, connection):
    for number, text in enumerate(("[]", "{", "null", '{"song": "x"}', json.dumps({"song": 1e400}))):
        id = factory.add_detection(connection, at(f"06:00:0{number}"))
        connection.execute("UPDATE results SET probabilities = ? WHERE detection = ?", (text, id))
    assert client(tmp_path).get("/").status_code == 200
