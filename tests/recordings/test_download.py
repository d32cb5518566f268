"""Downloads: the recordings that are chosen, the files that are written, and recovery after faults and kills."""

import csv
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from birdnet_nl.recordings.download import download
from birdnet_nl.recordings.download_filters import Filters, parse_candidate, select_best
from birdnet_nl.recordings.download_plan import plan_downloads
from birdnet_nl.recordings.folder import read_species_folder
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError
from tests.runs.processes import interruptible

KOOLMEES = get_species("koolmees")


def fetch_all(client, root, filters=None, species=(KOOLMEES,)):
    plan = plan_downloads(species, client, root, filters or Filters())
    return plan, download(plan, client, root)


def manifest_of(root, slug="koolmees"):
    with (root / f"xeno-canto-{slug}" / "recordings.csv").open(encoding="utf-8", newline="") as file:
        return {row["xc_id"]: row for row in csv.DictReader(file)}


def files_below(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_files_manifest_and_attribution_are_written(server, client_of, tmp_path):
    server.add(1)
    server.add(2, type="call, flight call", q="B", lic="//creativecommons.org/licenses/by-nc-nd/4.0/")
    server.add(3, type="alarm call", rec="Piet | Jan")
    plan, report = fetch_all(client_of(server), tmp_path)
    assert (plan.files, report.fetched, report.failed, report.stopped) == (3, 3, [], "")
    folder = "xeno-canto-koolmees"
    assert files_below(tmp_path) == [
        f"{folder}/{name}"
        for name in ("ATTRIBUTION.md", "alarm/XC3.mp3", "call/XC2.mp3", "recordings.csv", "song/XC1.mp3")
    ]
    row = manifest_of(tmp_path)["1"]
    assert row == {
        "file": "song/XC1.mp3", "xc_id": "1", "slug": "koolmees", "scientific": "Parus major", "english": "Great Tit",
        "type": "song", "quality": "A", "recordist": "Recordist 1", "country": "Netherlands", "date": "2023-04-00",
        "licence": "https://creativecommons.org/licenses/by-nc-sa/4.0/", "time": "06:30", "latitude": "52.36",
        "longitude": "6.46", "duration_s": row["duration_s"], "sample_rate_hz": "44100", "remarks": "in the garden",
        "background": "Turdus merula; Erithacus rubecula", "sha256": hashlib.sha256(server.sound).hexdigest(),
    }  # fmt: skip
    assert float(row["duration_s"]) == pytest.approx(2.0, abs=0.1)
    text = (tmp_path / folder / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert (
        "| [XC2](https://xeno-canto.org/2) | Recordist 2 | https://creativecommons.org/licenses/by-nc-nd/4.0/ |" in text
    )
    assert "Piet / Jan" in text
    assert server.key not in "".join(
        path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.suffix in (".csv", ".md")
    )
    recordings = read_species_folder(tmp_path / folder, KOOLMEES)
    types = {recording.id: recording.vocalization_type for recording in recordings}
    assert types == {"XC1": "song", "XC2": "call", "XC3": "alarm"}


def test_a_second_call_fetches_only_what_is_new(server, client_of, tmp_path):
    for number in range(1, 6):
        server.add(number)
    client = client_of(server)
    fetch_all(client, tmp_path)
    server.add(6)
    server.requests.clear()
    _, report = fetch_all(client, tmp_path)
    assert report.fetched == 1
    assert [path for _, path in server.requests if "download" in path] == ["/6/download"]
    (tmp_path / "xeno-canto-koolmees" / "song" / "XC2.mp3").unlink()
    plan, report = fetch_all(client, tmp_path)
    assert [candidate.row["xc_id"] for candidate in plan.parts[0].chosen] == ["2"]
    assert len(manifest_of(tmp_path)) == 6


def test_the_limit_per_type_includes_recordings_on_disk(server, client_of, tmp_path):
    for number in range(1, 8):
        server.add(number)
    client = client_of(server)
    assert fetch_all(client, tmp_path, Filters(per_type=3))[1].fetched == 3
    assert fetch_all(client, tmp_path, Filters(per_type=5))[1].fetched == 2
    assert fetch_all(client, tmp_path, Filters(per_type=5))[1].fetched == 0


def test_a_plan_fetches_and_writes_no_files(server, client_of, tmp_path):
    server.add(1, length="1:40")
    plan = plan_downloads([KOOLMEES], client_of(server), tmp_path / "new", Filters())
    assert (plan.files, plan.parts[0].count("song"), plan.expected_bytes) == (1, 1, 2_300_000)
    assert not (tmp_path / "new").exists()
    assert all("download" not in path for _, path in server.requests)


def test_recordings_of_an_incomplete_query_are_fetched(server, client_of, tmp_path):
    for number in range(1, 6):
        server.add(number)
    server.page_size = 2
    server.change_body = lambda page, body: body if page == 1 else b"<html></html>"
    plan, report = fetch_all(client_of(server, attempts=1), tmp_path, Filters(types=("song",)))
    assert "only 2 of 5 announced recordings arrived (the response is not JSON of API v3)" in plan.parts[0].error
    assert report.fetched == 2
    server.change_body = lambda page, body: body
    plan, report = fetch_all(client_of(server), tmp_path, Filters(types=("song",)))
    assert (plan.parts[0].error, report.fetched) == ("", 3)


def test_recordings_of_the_queries_before_a_failing_one_are_fetched(server, client_of, tmp_path):
    server.add(1)
    server.add(2, type="call")
    server.change_body = lambda page, body: body if len(server.requests) == 1 else b""
    plan, report = fetch_all(client_of(server, attempts=1), tmp_path)
    assert "the recordings of the queries before it are used" in plan.parts[0].error
    assert report.fetched == 1


def test_recordings_left_out_are_counted_by_reason(server, client_of, tmp_path):
    server.add(1)
    server.add(2, q="D")
    server.add(3, q="")
    server.add(4, length="9:00")
    server.add(5, cnt="Spain")
    server.add(6, lic="//creativecommons.org/licenses/by-nc-nd/4.0/")
    server.add(7, file="")
    server.add(8, type="song, call")
    server.add(9, type="song?")
    server.add(10, length="")
    server.add(11, file=f"//{server.url.removeprefix('http://')}/11/download")
    filters = Filters(countries=("netherlands",), licences=("by-nc-sa",))
    part = plan_downloads([KOOLMEES], client_of(server), tmp_path, filters).parts[0]
    assert [candidate.row["xc_id"] for candidate in part.chosen] == ["1", "11", "3"]
    assert part.chosen[1].url.startswith("https://127.0.0.1")  # the default protocol
    assert part.protected == 1
    assert part.unknown_types == {"song?": 1}
    assert dict(part.left_out) == {
        "quality below C": 1,
        "not between 1 and 180 s": 2,
        "country": 1,
        "licence": 1,
        "protected species, sound not public": 1,
        "type several": 1,
        "type not known": 1,
    }


def test_multilabel_and_other_recordings_have_their_own_folders(server, client_of, tmp_path):
    server.add(1, type="song, alarm call")
    server.add(2, type="drumming")
    server.add(3, type="chant")  # found because the query asks for all types
    fetch_all(client_of(server), tmp_path, Filters(types=("song", "several", "other")))
    folder = tmp_path / "xeno-canto-koolmees"
    assert [path for path in files_below(folder) if "XC" in path] == ["mixed/XC1.mp3", "other/XC2.mp3", "song/XC3.mp3"]
    types = {recording.id: recording.vocalization_type for recording in read_species_folder(folder, KOOLMEES)}
    assert types == {"XC1": None, "XC2": None, "XC3": "song"}


def test_both_scientific_names_of_a_species_are_queried(server, client_of, tmp_path):
    server.add(1, gen="Corvus", sp="monedula")
    server.add(2, gen="Coloeus", sp="monedula")
    _, report = fetch_all(client_of(server), tmp_path, species=[get_species("kauw")])
    assert report.fetched == 2
    assert set(manifest_of(tmp_path, "kauw")) == {"1", "2"}


def test_the_best_are_selected_first_and_no_recordist_dominates(server):
    for number in range(1, 13):
        server.add(number, rec="Busy", q="A")
    for number in range(20, 24):
        server.add(number, q="B")
    server.add(30, q="")
    candidates = [parse_candidate(entry, KOOLMEES) for entry in server.recordings.values()]
    order = [int(candidate.row["xc_id"]) for candidate in select_best(candidates, 17)]
    assert order[:9] == [1, 2, 3, 4, 5, 20, 21, 22, 23]
    assert order[9:] == [6, 7, 8, 9, 10, 11, 12, 30]
    selected = select_best(candidates, 4, ["Busy"] * 5)
    assert [int(candidate.row["xc_id"]) for candidate in selected] == [20, 21, 22, 23]


def test_unknown_suffixes_become_mp3():
    names = {"a.WAV": ".wav", "a.mp3": ".mp3", "a": ".mp3", "a/../../evil.exe": ".mp3"}
    for name, suffix in names.items():
        assert parse_candidate({"id": "1", "file-name": name}, KOOLMEES).suffix == suffix


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"types": ("zang",)}, "type zang is not possible; choose of song, call, alarm, several, other"),
        ({"min_quality": "F"}, "quality F is not possible; choose one of A, B, C, D, E"),
        ({"per_type": 0}, "per_type=0"),
        ({"min_s": 9.0, "max_s": 5.0}, "min_s=9, max_s=5"),
        ({"flight_call": "no"}, "choose one of call, leave_out"),
    ],
)
def test_impossible_filters_raise(values, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        Filters(**values)


FAULTS = (
    "500", "503", "html", "empty", "truncated", "cut", "reset", "drip", "hang", "redirect", "redirect away", "pause",
)  # fmt: skip


@pytest.mark.parametrize("count", [12, pytest.param(48, marks=pytest.mark.slow)])
def test_no_file_is_lost_with_many_faults(server, client_of, tmp_path, count):
    for number in range(1, count + 1):
        server.add(number, type=("song", "call", "alarm call")[number % 3])
        server.faults[str(number)].extend([FAULTS[number % len(FAULTS)], FAULTS[(number * 7) % len(FAULTS)]])
    server.faults["api"].extend(["500", "html", "truncated", "hang"])
    client = client_of(server, timeout_s=0.12, deadline_s=0.1, min_wait_s=0.001, attempts=9)
    _, report = fetch_all(client, tmp_path)
    assert (report.fetched, report.failed) == (count, [])
    check_complete(tmp_path, server, count)
    assert set(server.injected) >= set(FAULTS)


def check_complete(root, server, count):
    """Assert that each file is complete and has one row, and that there are no other files."""
    rows = manifest_of(root)
    folder = root / "xeno-canto-koolmees"
    assert len(rows) == count
    for row in rows.values():
        assert (folder / row["file"]).read_bytes() == server.sound
        assert row["sha256"] == hashlib.sha256(server.sound).hexdigest()
    expected = {f"{row['file']}" for row in rows.values()} | {"recordings.csv", "ATTRIBUTION.md"}
    assert set(files_below(folder)) == expected


def test_failed_files_are_listed_and_fetched_by_the_next_call(server, client_of, tmp_path):
    for number in range(1, 4):
        server.add(number)
    server.faults["2"].extend(["html"] * 5)
    client = client_of(server)
    _, report = fetch_all(client, tmp_path)
    assert report.fetched == 2
    assert [(slug, number) for slug, number, _ in report.failed] == [("koolmees", "2")]
    assert "received a web page instead of a sound file, 5 times" in report.failed[0][2]
    assert fetch_all(client, tmp_path)[1].fetched == 1
    check_complete(tmp_path, server, 3)


def test_many_failures_in_a_row_end_the_download(server, client_of, tmp_path):
    for number in range(1, 31):
        server.add(number, file=f"{server.url}/{number + 1000}/gone")
    _, report = fetch_all(client_of(server), tmp_path)
    assert len(report.failed) == 10
    assert report.stopped.startswith("10 files failed in a row, the last with: file http")


def test_a_busy_server_ends_the_download(server, client_of, tmp_path):
    for number in range(1, 4):
        server.add(number)
    server.faults["2"].append("429 an hour")
    _, report = fetch_all(client_of(server), tmp_path)
    assert report.fetched == 1 and "asks to wait 60 minutes" in report.stopped
    check_complete(tmp_path, server, 1)


def test_an_error_for_one_species_does_not_stop_the_others(server, client_of, tmp_path):
    server.add(1, gen="Turdus", sp="merula")
    server.faults["api"].append("400 text")
    plan = plan_downloads([KOOLMEES, get_species("merel")], client_of(server), tmp_path, Filters())
    assert "query must use tags" in plan.parts[0].error
    assert plan.files == 1


def test_a_full_disk_raises_before_the_first_file(server, client_of, tmp_path):
    server.add(1, length="1:00")
    plan = plan_downloads([KOOLMEES], client_of(server), tmp_path, Filters())
    huge = replace(plan.parts[0].chosen[0], duration_s=1e12)
    plan = replace(plan, parts=(replace(plan.parts[0], chosen=(huge,)),))
    with pytest.raises(DataError, match="GB free; choose another --root"):
        download(plan, client_of(server), tmp_path)


def test_the_error_for_a_folder_that_cannot_be_made_names_it(server, client_of, tmp_path):
    server.add(1)
    (tmp_path / "xeno-canto-koolmees").mkdir()
    (tmp_path / "xeno-canto-koolmees" / "song").write_text("in the way")
    plan = plan_downloads([KOOLMEES], client_of(server), tmp_path, Filters())
    with pytest.raises(DataError, match=r"song cannot be written \(File exists\); make room there or choose --root"):
        download(plan, client_of(server), tmp_path)


SCRIPT = """
import sys
from pathlib import Path
from birdnet_nl.recordings.download_filters import Filters
from birdnet_nl.recordings.download import download
from birdnet_nl.recordings.download_plan import plan_downloads
from birdnet_nl.recordings.xeno_canto import XenoCanto
from birdnet_nl.species.table import get_species
with XenoCanto(sys.argv[3], base_url=sys.argv[1], delay_s=0) as client:
    plan = plan_downloads([get_species("koolmees")], client, Path(sys.argv[2]), Filters())
    download(plan, client, Path(sys.argv[2]))
"""


@pytest.mark.parametrize("when_s", [0.0, pytest.param(0.01, marks=pytest.mark.slow)])
def test_after_a_kill_the_next_call_completes_the_download(server, client_of, tmp_path, when_s):
    for number in range(1, 16):
        server.add(number)
    server.slow_s = 0.01
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, server.url, str(tmp_path), server.key])
    folder = tmp_path / "xeno-canto-koolmees"
    while process.poll() is None and len(list(folder.glob("song/XC*.mp3"))) < 4:
        time.sleep(0.002)
    time.sleep(when_s)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    files = list(folder.glob("song/XC*.mp3"))
    assert 4 <= len(files) < 15
    assert all(path.read_bytes() == server.sound for path in files)
    rows = manifest_of(tmp_path)
    assert len(files) - 1 <= len(rows) <= len(files)  # the last file may have no row yet
    server.slow_s = 0.0
    server.requests.clear()
    _, report = fetch_all(client_of(server), tmp_path)
    assert report.fetched == 15 - len(files)
    assert report.adopted == len(files) - len(rows)
    check_complete(tmp_path, server, 15)


def test_an_interrupt_keeps_finished_files_and_removes_partial_ones(server, client_of, tmp_path):
    for number in range(1, 9):
        server.add(number)
    client = client_of(server)
    plan = plan_downloads([KOOLMEES], client, tmp_path, Filters())

    def interrupt_in_the_middle(candidate):
        server.slow_s = 0.5
        threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()

    with interruptible(), pytest.raises(KeyboardInterrupt):
        download(plan, client, tmp_path, on_file=interrupt_in_the_middle)
    check_complete(tmp_path, server, 1)


def test_complete_files_without_a_row_are_adopted_and_damaged_ones_fetched_again(server, client_of, tmp_path):
    server.add(1)
    server.add(2)
    song = tmp_path / "xeno-canto-koolmees" / "song"
    song.mkdir(parents=True)
    (song / "XC1.mp3").write_bytes(server.sound)
    (song / "XC2.mp3").write_bytes(server.sound[:9000])
    _, report = fetch_all(client_of(server), tmp_path)
    assert (report.adopted, report.fetched) == (1, 1)
    check_complete(tmp_path, server, 2)
