"""`birdnet-nl download` and `birdnet-nl import` as a user types them; downloads use a server on loopback."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["download"], "no species named; try birdnet-nl download koolmees"),
        (["download", "koolmes"], "did you mean koolmees"),
        (["download", "--species", "dodo*"], "none of the 232 species"),
        (["download", "koolmees"], "XENO_CANTO_API_KEY is not set; register at"),
        (["download", "koolmees", "--type", "zang"], "type zang is not possible; choose"),
        (["download", "koolmees", "--min-quality", "f"], "quality F is not possible"),
        (["import", "nowhere"], "is neither a folder nor a .csv or .json file"),
        (["import", ".", "--how", "move"], "--how move is not possible; choose one of reference, copy, link"),
    ],
)
def test_an_error_is_one_sentence(refuses, words, text):
    refuses(text, *words, XENO_CANTO_API_KEY="")


def test_a_download_from_plan_to_files(cli, server, tmp_path):
    for number in range(1, 4):
        server.add(number, type=("song", "call", "alarm call")[number - 1])
    server.add(4, file="")
    server.add(5, type="song, call?")
    env = {"XENO_CANTO_URL": server.url, "XENO_CANTO_API_KEY": server.key}
    words = ["download", "koolmees", "--root", tmp_path, "--delay-s", "0"]
    plan = cli(*words, "--plan", **env)
    assert plan.exit_code == 0
    assert "3 files, about 0 MB and 1 minute" in plan.output
    assert "protected species, sound not public 1" in plan.output and "'song, call?'" in plan.output
    assert not list(tmp_path.iterdir())
    result = cli(*words, **env)
    assert result.exit_code == 0 and "3 recordings fetched" in result.output
    assert len(list(tmp_path.glob("xeno-canto-koolmees/*/XC*.mp3"))) == 3
    assert "0 recordings fetched" in cli(*words, **env).output
    server.add(6)
    server.faults["6"].extend(["404"])
    failed = cli(*words, **env)
    assert failed.exit_code == 1 and "koolmees XC6: file http" in failed.output
    assert server.key not in plan.output + result.output + failed.output


def test_an_incomplete_query_is_one_sentence_beside_the_plan(cli, server, tmp_path):
    for number in range(1, 4):
        server.add(number)
    server.page_size = 2
    server.change_body = lambda page, body: body if page == 1 else {**body, "recordings": {}}
    env = {"XENO_CANTO_URL": server.url, "XENO_CANTO_API_KEY": server.key}
    plan = cli("download", "koolmees", "--root", tmp_path, "--delay-s", "0", "--type", "song", "--plan", **env)
    assert plan.exit_code == 1 and "2 files, about" in plan.output
    assert "only 2 of 3 announced recordings arrived; these are used, run the command again later" in plan.output


def test_a_refused_key_is_one_sentence_without_the_key(cli, server, tmp_path):
    env = {"XENO_CANTO_URL": server.url, "XENO_CANTO_API_KEY": "wrong key"}
    result = cli("download", "koolmees", "--root", tmp_path, **env)
    assert result.exit_code == 1
    assert "refuses the key in XENO_CANTO_API_KEY" in result.output and "wrong key" not in result.output


def test_ctrl_c_leaves_whole_files_and_a_hint(server, tmp_path):
    for number in range(1, 30):
        server.add(number)
    server.slow_s = 0.05
    env = {**os.environ, "XENO_CANTO_URL": server.url, "XENO_CANTO_API_KEY": server.key}
    code = (  # a background shell starts processes that ignore SIGINT
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from birdnet_nl.cli import main; main()"
    )
    words = [sys.executable, "-c", code, "download", "koolmees", "--root", str(tmp_path), "--delay-s", "0"]
    process = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    folder = tmp_path / "xeno-canto-koolmees"
    while process.poll() is None and len(list(folder.glob("song/XC*.mp3"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Stopped; finished work is kept" in output and "Traceback" not in output
    assert not list(folder.rglob("*.part"))
    rows, files = len((folder / "recordings.csv").read_text().splitlines()) - 1, len(list(folder.glob("song/XC*.mp3")))
    assert files - 1 <= rows <= files < 29  # the last file may be without its row; the next call adds it


def test_an_import_reports_the_placed_files_and_lists_the_others(cli, mp3_bytes, tmp_path):
    for name in ("koolmees/zang/XC1.mp3", "koolmees/roep/XC2.mp3", "XC3.mp3"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mp3_bytes)
    refused = tmp_path / "refused.csv"
    result = cli("import", tmp_path / "in", "--root", tmp_path / "out", "--refused", refused)
    assert result.exit_code == 0
    assert "2 recordings placed, 0 were there already: 1 species (song 1, call 1)" in result.output
    reason = "no species in tag, name, folder or table"
    assert f"1 × {reason}" in result.output
    assert refused.read_text(encoding="utf-8").splitlines()[1].endswith(f'XC3.mp3,"{reason}"')
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = cli("import", empty, "--root", tmp_path / "out")
    assert nothing.exit_code == 1 and "holds nothing that could be placed" in nothing.output
    table = tmp_path / "table.json"
    table.write_text(json.dumps([{"file": "koolmees/zang/XC1.mp3", "species": "Koolmees", "type": "song"}]))
    assert cli("import", table, "--audio", tmp_path / "in", "--root", tmp_path / "out2").exit_code == 0


def test_until_usable_fetches_the_rarest_types_and_new_recordists_first(cli, server, tmp_path):
    for number in range(1, 61):
        server.add(number, rec="Piet")
    for number in range(61, 65):
        server.add(number, type="alarm call", rec=f"Alarm {number}", q="B")
    server.add(65, type="alarm call", lic="//creativecommons.org/licenses/by-nc-nd/4.0/")
    server.add(66, rec="Somebody new", q="C")
    env = {"XENO_CANTO_URL": server.url, "XENO_CANTO_API_KEY": server.key}
    words = ["download", "koolmees", "--root", tmp_path / "xc", "--logs", tmp_path, "--delay-s", "0"]
    assert cli(*words, "--type", "song", "--per-type", 3, **env).exit_code == 0
    words += ["--until", "usable", "--licence", "by-nc-sa", "--per-type", 5]
    before = len(list(tmp_path.rglob("XC*")))
    plan = cli(*words, "--dry-run", **env)
    assert plan.exit_code == 0 and len(list(tmp_path.rglob("XC*"))) == before
    assert "2 (+3)" in plan.output and "4 (+0)" in plan.output and "6 files" in plan.output
    line = next(line for line in plan.output.splitlines() if "no learning curve" in line)
    assert "koolmees: no learning curve" in line and "at most 5 of a type (--per-type)" in line
    assert "rarest first: call 0 of 5 wanted, alarm 4 of 5 wanted, song 2 of 2 wanted; 5 new recordists" in line
    assert cli(*words, **env).exit_code == 0
    files = {path.stem for path in tmp_path.rglob("XC*.mp3")}
    assert {"XC61", "XC62", "XC63", "XC64", "XC66"} < files and "XC65" not in files and len(files) == 9


def test_until_usable_follows_the_learning_curve(cli, server, tmp_path, monkeypatch):
    """A usable species is not queried; the plan of another one has its reason and the expected accuracy."""
    from birdnet_nl.comparison import curve_files
    from tests.comparison.test_download_needs import curve_of

    for number in range(1, 30):
        server.add(number, type="alarm call")
    env = {"XENO_CANTO_URL": server.url, "XENO_CANTO_API_KEY": server.key}
    words = ["download", "koolmees", "--root", tmp_path, "--logs", tmp_path, "--until", "usable", "--plan"]
    monkeypatch.setattr(curve_files, "latest_curves", lambda logs: {"koolmees": (curve_of(0.95, 0.1, 0.5), logs)})
    usable = cli(*words, **env)
    assert usable.exit_code == 0 and "koolmees: usable: 85%" in usable.output and not server.requests
    monkeypatch.setattr(curve_files, "latest_curves", lambda logs: {"koolmees": (curve_of(0.9, 0.16, 0.8), logs)})
    more = cli(*words, **env)
    assert "more recordings needed" in more.output and "alarm 29 of" in more.output and server.requests


def test_until_has_one_value(cli, refuses, tmp_path):
    refuses("--until good is not possible; choose one of usable", "download", "koolmees", "--until", "good")
