"""`birdnet-nl data` as a user types it: tables, JSON that is complete, a page that needs nothing from anywhere."""

import json
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from birdnet_nl.cli import app

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "recordings"


@pytest.fixture
def run(tmp_path):
    def run(*words, **env):
        values = {"COLUMNS": "180", "BIRDNET_NL_CACHE": str(tmp_path / "cache"), "BIRDNET_NL_DATA": "", **env}
        result = CliRunner().invoke(app, ["data", *map(str, words)], env=values)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def root(tmp_path, make_recordings_folder, write_manifest):
    root = tmp_path / "sounds"
    folder = make_recordings_folder(root, "koolmees", {"song": 6, "call": 5, "alarm": 2}, duration_s=4.0)
    make_recordings_folder(root, "merel", {"song": 3}, duration_s=2.0, first_number=200)
    (folder / "call" / "XC99.mp3").write_bytes(b"{}")
    soundfile.write(folder / "call" / "XC98.wav", np.zeros(8000), 8000)
    shutil.copy(folder / "song" / "XC1.wav", folder / "song" / "XC97.wav")
    rows = [
        {"xc_id": str(n), "type": "", "recordist": f"<b>Anna</b> {n % 4}", "quality": "ABC"[n % 3],
         "date": f"2020-0{n}-01", "latitude": f"{50 + n / 3}", "longitude": f"{4 + n / 2}", "country": "Netherlands",
         "remarks": "in a hedge",
         "licence": "//creativecommons.org/licenses/by-nc-sa/4.0/"} for n in range(1, 8)
    ]  # fmt: skip
    write_manifest(folder, rows)
    return root


def test_one_species_is_shown_in_full(run, root):
    output = run("Great Tit", "--root", root).output
    assert "Koolmees · Great Tit · Parus major" in output and "16 recordings" in output
    assert re.search(r"song +7 +6 ", output)
    assert "2 recordings, at least 3 needed" in output
    assert "1 × left out: silent (largest sample below -80 dB): XC98.wav" in output
    assert "left out: has the same content as another file: XC97.wav (as song/XC1.wav)" in output
    assert "left out: cannot be decoded" in output and "XC99.mp3" in output
    assert "quality     none" not in output and "CC BY-NC-SA 7" in output
    assert f"trains: python train.py species=koolmees data.root={root}" in output
    assert f"birdnet-nl download koolmees --root {root}" in output


def test_json_is_complete(run, root):
    result = run("koolmees", "merel", "zwarte_mees", "--json", "--root", root)
    values = json.loads(result.stdout)
    assert values["without_recordings"] == ["zwarte_mees"] and values["rules"]["seed"] == 1
    koolmees, merel = values["species"]
    assert (koolmees["slug"], koolmees["recordings"], koolmees["trainable"]) == ("koolmees", 16, True)
    assert koolmees["types"]["song"]["splits"].keys() == {"train", "val", "test"}
    assert koolmees["types"]["alarm"]["why_not"] and koolmees["types"]["alarm"]["verdict"] == "no"
    assert koolmees["quality"]["none"] == 9 and koolmees["countries"]["Netherlands"] == 7
    assert merel["trainable"] is False and "two types are needed" in merel["problem"]
    files = {file["id"]: file for file in koolmees["files"]}
    assert len(files) == 16
    assert files["XC1"]["content"] == files["XC97"]["content"] and files["XC97"]["duplicate_of"] == "song/XC1.wav"
    assert files["XC1"]["split"] in ("train", "val", "test") and files["XC97"]["split"] == ""
    assert files["XC1"]["remarks"] == "in a hedge" and files["XC1"]["oddities"] == []
    assert files["XC1"]["duration_s"] == 4.0 and files["XC1"]["sample_rate_hz"] == 8000
    assert files["XC1"]["latitude"] == pytest.approx(50.333, abs=0.01) and files["XC1"]["recordist"] == "<b>Anna</b> 1"
    assert files["XC99"]["reason"].startswith("cannot be decoded") and files["XC98"]["left_out"].startswith("silent")
    assert koolmees["next_download"].startswith("birdnet-nl download koolmees")


class Page(HTMLParser):
    """Tags that are open at the end, and every address that a browser would fetch or a reader could follow."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.fetched, self.links, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        self.fetched += [values[name] for name in ("src", "data", "poster", "srcset") if name in values]
        self.fetched += [values["href"]] if tag != "a" and "href" in values else []
        self.links += [values["href"]] if tag == "a" else []

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag in self.open[-1:]:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_from_anywhere(run, root, tmp_path):
    result = run("koolmees", "--root", root, "--html", tmp_path / "pages" / "look.html")
    assert result.exit_code == 0 and "look.html" in result.output
    text = (tmp_path / "pages" / "look.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.fetched and all(address.startswith("data:") for address in page.fetched)
    assert not re.search(r"@import|url\((?!#)", text)
    assert all(link.startswith(("https://xeno-canto.org/", "https://creativecommons.org/")) for link in page.links)
    for heading in ("types by quality", "durations", "months", "recordists", "places"):
        assert f"<h3>{heading}</h3><svg" in text, heading
    assert page.tags.count("audio") == page.tags.count("img") == 6 and page.tags.count("svg") == 11
    assert "<b>Anna</b>" not in text and "&lt;b&gt;Anna" in text
    assert "prefers-color-scheme: dark" in text and str(tmp_path) in text
    assert text.count(str(tmp_path)) == 2  # of paths, the root in the commands to train and to get more, and no other


def test_a_page_of_all_species_has_a_table(run, root, tmp_path):
    assert run("--all", "--root", root, "--html", tmp_path / "all.html").exit_code == 0
    text = (tmp_path / "all.html").read_text(encoding="utf-8")
    assert Page(text).open == [] and 'href="#merel"' in text and 'id="merel"' in text


def test_all_species_in_one_table(run, root):
    output = run("--all", "--root", root).output
    assert "230 of the 232 species have no recordings" in output
    assert re.search(r"koolmees +6 of 7 ", output) and re.search(r"merel +3 +0 +0 ", output)
    assert "19 recordings, 1 minutes, 2 species; 1 can be trained" in output
    assert "1 × left out: has the same content as another file" in output


def test_the_root_may_come_from_the_environment(run, root):
    assert "3 recordings" in run("merel", BIRDNET_NL_DATA=str(root)).output


def test_a_second_look_changes_nothing(run, root):
    assert run("koolmees", "--root", root).output == run("koolmees", "--root", root).output


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "no species named; try birdnet-nl data koolmees, or --all"),
        (["koolmes"], "did you mean koolmees"),
        (["zwarte_mees"], "zwarte_mees: no recordings in"),
        (["zwarte_mees", "vink"], "none of the 2 species has recordings in"),
        (["koolmees", "--flight-call", "song"], "flight_call=song is not possible; choose one of call, leave_out"),
        (["koolmees", "--html", "/dev/null/x.html"], "/dev/null/x.html cannot be written"),
        (["koolmees", "--root", "/nowhere"], "/nowhere is not a folder; give the one that holds"),
    ],
)
def test_an_error_is_one_sentence(run, root, words, text):
    result = run("--root", root, *words)
    assert result.exit_code == 1
    assert text in result.output
    assert "Traceback" not in result.output and len(result.output.strip().splitlines()) == 1


def test_a_corrupt_manifest_is_one_sentence(run, root):
    (root / "xeno-canto-koolmees" / "recordings.csv").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    result = run("koolmees", "--root", root)
    assert result.exit_code == 1 and len(result.output.strip().splitlines()) == 1
    assert "recordings.csv is not a CSV file in UTF-8" in result.output


def test_the_command_for_more_asks_for_what_is_wanting(run, tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "koolmees", {"song": 55, "call": 55, "alarm": 3}, duration_s=0.05)
    assert f"birdnet-nl download koolmees --type alarm --root {tmp_path}" in run("koolmees", "--root", tmp_path).output
    enough = make_recordings_folder(tmp_path / "b", "koolmees", {"song": 55, "call": 55, "alarm": 55}, duration_s=0.05)
    assert "download" not in run("koolmees", "--root", enough.parent).output


def test_commands_to_type_keep_what_was_said_of_flight_calls(run, root):
    output = run("koolmees", "--root", root, "--flight-call", "leave_out").output
    assert f"trains: python train.py species=koolmees data.root={root} data.flight_call=leave_out" in output
    assert f"birdnet-nl download koolmees --flight-call leave_out --root {root}" in output


def test_more_than_the_usual_number_is_asked_for_where_many_are_unusable(run, tmp_path, make_recordings_folder):
    folder = make_recordings_folder(tmp_path, "koolmees", {"song": 55, "call": 55, "alarm": 30}, duration_s=0.05)
    for number in range(900, 940):
        shutil.copy(folder / "alarm" / "XC120.wav", folder / "alarm" / f"XC{number}.wav")
    values = json.loads(run("koolmees", "--json", "--root", tmp_path).stdout)
    assert values["species"][0]["types"]["alarm"]["found"] == 70
    assert "--type alarm --per-type 90" in values["species"][0]["next_download"]  # 20 more than the 70 on disk


def test_tables_and_json_are_made_without_torch(root):
    code = (
        "import sys; from birdnet_nl.cli import app\n"
        f"try: app(['data', 'koolmees', '--root', {str(root)!r}, '--cache', {str(root / 'cache')!r}])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'matplotlib', 'scipy', 'httpx'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()[-1] == "[]"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the shared recordings are not here")
def test_real_recordings_are_looked_at_once(run, tmp_path):
    first = json.loads(run("--all", "--json", "--root", REAL).stdout)
    start_s = time.monotonic()
    assert json.loads(run("--all", "--json", "--root", REAL).stdout) == first
    assert time.monotonic() - start_s < 10
    assert len(first["species"]) == 89 and len(first["without_recordings"]) == 143
    assert sum(one["recordings"] for one in first["species"]) == 287
    files = [file for one in first["species"] for file in one["files"]]
    assert not [file["id"] for file in files if file["reason"]]
    assert all(abs(file["duration_s"] - file["manifest_duration_s"]) < 1.0 for file in files)
