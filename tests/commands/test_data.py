"""`birdnet-nl data` as a user types it: tables, complete JSON, and a page that needs no other file."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdnet_nl.commands.data_tables import download_command
from birdnet_nl.data.overview import NOT_SEARCHED, SpeciesOverview, TypeOverview
from birdnet_nl.data.sources import DEFAULT_ROOT
from birdnet_nl.data.training_rules import TrainingRules
from birdnet_nl.recordings.file_summary import FileSummary
from birdnet_nl.recordings.folder import FolderContent
from birdnet_nl.species.table import get_species

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "recordings"


@pytest.fixture
def run(cli, tmp_path):
    def run(*words, **env):
        return cli("data", *words, **{"BIRDNET_NL_CACHE": tmp_path / "cache", "BIRDNET_NL_DATA": "", **env})

    return run


@pytest.fixture(scope="module")
def made_root(make_recordings_folder, write_manifest, tmp_path_factory):
    root = tmp_path_factory.mktemp("made") / "sounds"
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


@pytest.fixture
def root(made_root, tmp_path):
    """Copy of the recordings of two species, which a test may change."""
    return shutil.copytree(made_root, tmp_path / "sounds")


def test_one_species_is_shown_in_full(run, root):
    output = run("Great Tit", "--root", root).output
    assert "Koolmees · Great Tit · Parus major" in output and "16 recordings" in output
    assert re.search(r"song +7 +6 ", output)
    assert "2 recordings, at least 3 needed" in output
    assert "1 × left out: silent (largest sample below -80 dB): XC98.wav" in output
    assert "left out: has the same content as another file: XC97.wav (as song/XC1.wav)" in output
    assert "left out: cannot be decoded" in output and "XC99.mp3" in output
    assert "quality     none" not in output and "CC BY-NC-SA 7" in output


def test_each_closing_message_has_a_line_of_its_own(run, root, tmp_path, monkeypatch):
    monkeypatch.setattr("birdnet_nl.commands.data_page.data_page", lambda *arguments: "")
    page = tmp_path / "page.html"
    result = run("koolmees", "--root", root, "--html", page)
    assert result.stdout.splitlines()[-3:] == [
        f"trains: python train.py species=koolmees data.root={root}",
        f"to get more: birdnet-nl download koolmees --root {root}",
        f"written: {page}",
    ]
    assert result.stderr == ""  # a terminal shows both streams, whose lines could mix
    lines = run("--all", "--root", root, "--html", page).stdout.splitlines()
    assert [line.partition(":")[0] for line in lines[-3:]] == ["next", "next", "written"]


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


def test_files_texts_and_rows_that_are_not_used_are_listed(run, root, tmp_path, read_page):
    folder = root / "xeno-canto-koolmees"
    for text in ("jubelt <zeer>", "jubelt <zeer>", "2023"):
        path = folder / text / f"XC{300 + len(list(folder.rglob('*')))}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.random.default_rng(len(path.name)).normal(0, 0.1, 16000), 8000)
    Path(os.fsdecode(os.fsencode(folder / "song") + b"/J\xfcrgen.mp3")).write_bytes(b"x")
    (folder / "call" / "gone.mp3").symlink_to("nowhere.mp3")
    (folder / "notes [1].txt").touch()
    (folder / "recordings.csv").write_text("file;rec\nsong\\XC1.wav;Ann\nD:\\call\\gone [x].mp3;Bob\n")
    output = run("koolmees", "--root", root).output
    assert "type texts not understood: jubelt <zeer> 2, 2023 1" in output
    assert "23 files: 11 used, 10 left out (" in output and "2 not audio (.txt 1, .csv 1)" in output
    assert "1 × left out: a broken link to nowhere.mp3: call/gone.mp3" in output
    assert "left out: cannot be decoded (its content is text): J\\xfcrgen.mp3" in output
    assert "1 × recordings.csv: rows without a file: D:\\call\\gone [x].mp3" in output
    assert "19 × recordings.csv: files without a row" in output
    values = json.loads(run("koolmees", "--json", "--root", root).stdout)["species"][0]
    assert values["not_understood"] == {"jubelt <zeer>": 2, "2023": 1}
    assert values["file_counts"]["files"] == 23 and values["file_counts"]["rows_without_file"] == 1
    page = tmp_path / "page.html"
    assert run("koolmees", "--root", root, "--html", page).exit_code == 0
    text, _ = read_page(page)
    assert NOT_SEARCHED in " ".join(text.split())
    assert all(NOT_SEARCHED in run(species, "--root", root).stdout for species in ("koolmees", "--all"))
    assert "2 × type texts not understood" in text and "jubelt &lt;zeer&gt; 2" in text and "23 files: 11 used" in text
    many = run("--all", "--root", root).output
    assert "type texts not understood: jubelt <zeer> 2, 2023 1" in many and "26 files: 14 used" in many


def test_a_folder_without_recordings_and_rows_of_no_species_are_named(run, refuses, tmp_path):
    for name in ("song/a.txt", "call/b.pdf", "call/._c.mp3"):
        (tmp_path / "merel" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "merel" / name).touch()
    (tmp_path / "koolmees" / "song").mkdir(parents=True)
    (tmp_path / "recordings.csv").write_text("file,recordist\ngone.mp3,Ann\n")
    text = "merel holds no recordings (3 files: 0 used, 2 not audio (.txt 1, .pdf 1), 1 hidden)"
    refuses(text, "data", "merel", "--root", tmp_path)
    refuses("recordings.csv: 1 row names no species and no file here (gone.mp3)", "data", "merel", "--root", tmp_path)


def test_the_page_needs_no_other_file(run, root, tmp_path, read_page):
    assert run("koolmees", "--root", root, "--html", tmp_path / "pages" / "a.html").exit_code == 0
    text, parsed = read_page(tmp_path / "pages" / "a.html")
    assert all(link.startswith(("https://xeno-canto.org/", "https://creativecommons.org/")) for link in parsed.links)
    for heading in ("types by quality", "durations", "months", "recordists", "places"):
        assert f'<h3>{heading}</h3><div class="plot"><svg' in text, heading
    assert parsed.tags.count("audio") == parsed.tags.count("img") == 6 and parsed.tags.count("svg") == 11
    assert "<b>Anna</b>" not in text and "&lt;b&gt;Anna" in text
    assert text.count("sounds") == 2  # paths: only in the commands to train and to get more
    strips = [path for path in parsed.paths if path[-1] == "svg.activity"]  # sized by their own rule only
    assert len(strips) == 6 and not any("plot" in name for path in strips for name in path)
    selectors = [selector.strip() for group in re.findall(r"([^{}]+)\{", parsed.style) for selector in group.split(",")]
    assert [selector for selector in selectors if "svg" in selector and ".plot" not in selector] == []
    assert re.search(r"\.activity \{[^}]*width: calc\(100% - 1\.7rem\); height: 22px", parsed.style)


def test_a_page_of_all_species_has_a_table(run, root, tmp_path, read_page):
    assert run("--all", "--root", root, "--html", tmp_path / "all.html").exit_code == 0
    text, _ = read_page(tmp_path / "all.html")
    assert 'href="#merel"' in text and 'id="merel"' in text


def test_all_species_in_one_table(run, root):
    output = run("--all", "--root", root).output
    assert "230 of the 232 species have no recordings" in output
    assert re.search(r"koolmees +6 of 7 ", output) and re.search(r"merel +3 +0 +0 ", output)
    assert "19 recordings, 1 minute, 2 species; 1 can be trained" in output
    assert "1 × left out: has the same content as another file" in output


def test_the_root_may_come_from_the_environment_and_a_second_call_changes_nothing(run, root):
    first, second = (run("merel", BIRDNET_NL_DATA=root).output for _ in range(2))
    assert "3 recordings" in first and first == second


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "no species named; try birdnet-nl data koolmees, or --all"),
        (["koolmes"], "did you mean koolmees"),
        (["zwarte_mees"], "zwarte_mees: no recordings in"),
        (["zwarte_mees", "vink"], "none of the 2 species has recordings in"),
        (["koolmees", "--flight-call", "song"], "--flight-call song is not possible; choose one of call, leave_out"),
        (["koolmees", "--root", "/nowhere"], "/nowhere is not a folder; give the one that holds"),
    ],
)
def test_an_error_is_one_sentence(refuses, root, tmp_path, words, text):
    refuses(text, "data", "--root", root, *words, BIRDNET_NL_CACHE=tmp_path / "cache")


def test_a_page_that_cannot_be_written_is_one_sentence(refuses, root, monkeypatch):
    monkeypatch.setattr("birdnet_nl.commands.data_page.data_page", lambda *arguments: "")
    refuses("/dev/null/x.html cannot be written", "data", "merel", "--root", root, "--html", "/dev/null/x.html")


def test_a_corrupt_manifest_is_one_sentence(refuses, root):
    (root / "xeno-canto-koolmees" / "recordings.csv").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    refuses("recordings.csv has none of the columns file", "data", "koolmees", "--root", root)


@pytest.mark.parametrize(
    ("alarm", "words"),
    [
        ((3, 3, 0), " --type alarm"),
        ((70, 30, 0), " --type alarm --per-type 90"),  # 20 more than the 70 on disk
        ((55, 55, 10), None),
    ],
)
def test_only_missing_types_are_downloaded_and_more_where_many_are_unusable(alarm, words):
    def overview_of(found, usable, tested):
        return TypeOverview(found, usable, 9, 0, 1.0, 1, {"test": tested}, "" if tested else "too few")

    types = {"song": overview_of(55, 55, 10), "call": overview_of(55, 55, 10), "alarm": overview_of(*alarm)}
    overview = SpeciesOverview(get_species("koolmees"), (), (), types, "", FolderContent([]), FileSummary(0, {}))
    command = download_command(overview, TrainingRules(), DEFAULT_ROOT)
    assert command == (f"birdnet-nl download koolmees{words}" if words else "")


def test_commands_to_type_keep_the_use_of_flight_calls(run, root):
    output = run("koolmees", "--root", root, "--flight-call", "leave_out").output
    assert f"trains: python train.py species=koolmees data.root={root} data.flight_call=leave_out" in output
    assert f"birdnet-nl download koolmees --flight-call leave_out --root {root}" in output


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
def test_real_recordings_are_decoded_once(run):
    first = json.loads(run("--all", "--json", "--root", REAL).stdout)
    start_s = time.monotonic()
    assert json.loads(run("--all", "--json", "--root", REAL).stdout) == first
    assert time.monotonic() - start_s < 10
    assert len(first["species"]) == 89 and len(first["without_recordings"]) == 143
    assert sum(species["recordings"] for species in first["species"]) == 287
    files = [file for species in first["species"] for file in species["files"]]
    assert not [file["id"] for file in files if file["reason"]]
    assert all(abs(file["duration_s"] - file["manifest_duration_s"]) < 1.0 for file in files)
