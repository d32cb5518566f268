"""`birdnet-nl compare` as a user types it: tables, files, a page that needs nothing from anywhere, errors."""

import csv
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from typer.testing import CliRunner

from birdnet_nl.cli import app

SLUGS = ("koolmees", "merel", "vink")


@pytest.fixture
def compare():
    def compare(*words):
        result = CliRunner().invoke(app, ["compare", *map(str, words)], env={"COLUMNS": "160"})
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return compare


@pytest.fixture
def logs(tmp_path, make_finished_run):
    logs = tmp_path / "logs"
    for name, train_s in (("legacy", 200.0), ("fast", 100.0), ("turbo", 50.0)):
        for slug in SLUGS:
            make_finished_run(logs / name / slug / "a", name, slug, train_s=train_s)
        make_finished_run(logs / name / "koolmees" / "b-synthetic", name, "koolmees", synthetic=True)
    return logs


def test_real_and_synthetic_recordings_stand_apart(compare, logs):
    output = compare(logs).output
    real, synthetic = output.split("on synthetic demo recordings")
    assert "legacy, fast, turbo on real recordings" in real and "Synthetic" not in real
    assert "Synthetic demo recordings: nothing here says anything about real birds" in synthetic
    assert "Koolmees" in real and "Merel" in real and "Merel" not in synthetic


def test_speed_and_verdicts_are_on_the_screen(compare, logs):
    output = compare(logs, "--sets", "legacy,fast").output
    assert re.search(r"training +2\.00 \(2\.00–2\.00\)", output)
    assert "“40–50 % faster per species” (as configured): confirmed; training a species takes 50% less time" in output
    assert "“at most 1–2 points less accurate”" in output and "turbo" not in output
    assert re.search(r"species, pairs +3, 3", output)


def test_the_baseline_can_be_another(compare, logs):
    output = compare(logs, "--baseline", "turbo", "--sets", "fast").output
    assert "turbo, fast on real recordings" in output and "against turbo" in output and "legacy" not in output
    assert "40–50 %" not in output


def test_every_file_is_written_and_says_the_same(compare, logs, tmp_path):
    files = {name: tmp_path / f"out.{name}" for name in ("json", "csv", "markdown", "html")}
    result = compare(logs, *(word for name, path in files.items() for word in (f"--{name}", path)))
    assert result.exit_code == 0
    values = json.loads(files["json"].read_text(), parse_constant=pytest.fail)
    assert [section["kind"]["synthetic"] for section in values["sections"]] == [False, True]
    fast = values["sections"][0]["comparisons"][0]
    assert fast["speed"]["as_configured"]["train"]["value"] == pytest.approx(2.0)
    assert fast["speed"]["equal_workers"]["train"] is None
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text())))
    assert len(rows) == 12
    merel = {row["parameter_set"]: row for row in rows if row["species"] == "merel"}
    difference = float(merel["fast"]["balanced_accuracy"]) - float(merel["legacy"]["balanced_accuracy"])
    assert float(merel["fast"]["balanced_accuracy_minus_legacy"]) == pytest.approx(difference, abs=1e-5)
    said = next(one for one in fast["species"] if one["species"] == "merel")["differences"]["balanced_accuracy"]
    assert said["value"] == pytest.approx(difference, abs=1e-5)
    assert f"{100 * said['value']:+.1f} ({100 * said['low']:+.1f} to" in files["markdown"].read_text()
    assert f"{100 * said['value']:+.1f} ({100 * said['low']:+.1f} to" in files["html"].read_text()


class Page(HTMLParser):
    """Tags that are open at the end, and every address that a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.fetched, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.fetched += [value for name, value in attributes if name in ("src", "srcset", "data", "poster")]
        self.fetched += [value for name, value in attributes if name == "href" and tag != "use" and value[0] != "#"]

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag in self.open[-1:]:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_from_anywhere(compare, logs, tmp_path, make_finished_run):
    for name in ("legacy", "fast"):
        make_finished_run(logs / name / "koolmees" / "leak", name, split_by="segment")
        make_finished_run(logs / name / "koolmees" / "shuffled", name, shuffled=True)
    assert compare(logs, "--html", tmp_path / "page.html").exit_code == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == [] and page.fetched == [] and "script" not in page.tags
    assert not re.search(r"@import|url\((?!#)", text)
    assert page.tags.count("svg") == 4 * 5
    assert text.count('class="banner grave"') == 2 and text.count('class="banner"') == 1
    for heading in ("balanced accuracy by species", "speed against accuracy", "reliability", "true types and answers"):
        assert text.count(f"<h3>{heading}</h3><svg") == 4
    assert "prefers-color-scheme: dark" in text


def test_older_runs_are_shown_too(compare, tmp_path, make_finished_run):
    for name in ("legacy", "fast"):
        make_finished_run(tmp_path / name, name, old=True)
    result = compare(tmp_path, "--html", tmp_path / "page.html")
    assert result.exit_code == 0 and "Koolmees" in result.output
    assert Page((tmp_path / "page.html").read_text(encoding="utf-8")).open == []


def test_what_is_left_out_is_listed(compare, logs, make_finished_run):
    make_finished_run(logs / "fast" / "ekster" / "a", "fast", "ekster")
    (logs / "fast" / "roek").mkdir()
    (logs / "fast" / "roek" / "config.yaml").touch()
    broken = make_finished_run(logs / "fast" / "kolgans" / "a", "fast", "kolgans")
    (broken / "metrics.json").write_text("{")
    output = compare(logs).output
    assert "ekster seed 1 (real recordings), fast: no finished run of legacy" in output
    assert re.search(r"Not finished \(no metrics\.json\): 1\n +\S*fast/roek", output)
    assert "kolgans/a/metrics.json is not the report of a run" in output


def test_names_are_not_markup(compare, tmp_path, make_finished_run):
    for name in ("legacy", "fast"):
        folder = make_finished_run(tmp_path / name, name, overrides=["model.channels=[8,16]"])
        text = (folder / "metrics.json").read_text().replace('"dutch": "Koolmees"', '"dutch": "<b>[red]$x$|*"')
        (folder / "metrics.json").write_text(text)
    result = compare(tmp_path, "--html", tmp_path / "p.html", "--markdown", tmp_path / "p.md")
    assert "<b>[red]$x$|*" in result.output and "model.channels=[8,16]" in result.output
    assert "<b>[red]" not in (tmp_path / "p.html").read_text(encoding="utf-8")
    assert r"\|" in (tmp_path / "p.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["{logs}/fast"], "only trainer=fast was found, and a comparison needs two parameter sets"),
        (["{logs}", "--sets", "legacy,quick"], "no finished run of trainer=quick was found; there are runs of fast,"),
        (["{logs}", "--baseline", "old"], "no finished run of trainer=old was found"),
        (["/nowhere"], "/nowhere is not a folder; give one that holds runs, such as logs"),
        (["{logs}/.."], None),
    ],
)
def test_an_error_is_one_sentence(compare, logs, words, text):
    result = compare(*(word.format(logs=logs) for word in words))
    if text is None:
        assert result.exit_code == 0
    else:
        assert result.exit_code == 1 and text in result.output
        assert len(result.output.strip().splitlines()) == 1


def test_nothing_finished_is_one_sentence(compare, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.yaml").touch()
    result = compare(tmp_path)
    assert result.exit_code == 1
    assert f"nothing finished below {tmp_path} (1 unfinished, 0 broken); train first" in result.output


def test_nothing_comparable_says_why(compare, tmp_path, make_finished_run):
    make_finished_run(tmp_path / "a", "legacy", seed=1)
    make_finished_run(tmp_path / "b", "fast", seed=2)
    result = compare(tmp_path)
    assert result.exit_code == 1
    assert "koolmees seed 1 (real recordings), legacy: no finished run of fast" in result.output
    assert "can be compared; train both sets with the same species and seed" in result.output


def test_a_file_that_cannot_be_written_is_one_sentence(compare, logs):
    result = compare(logs, "--csv", "/dev/null/x.csv")
    assert result.exit_code == 1 and "/dev/null/x.csv cannot be written" in result.output


def test_tables_need_neither_torch_nor_matplotlib(logs):
    code = (
        "import sys; from birdnet_nl.cli import app\n"
        f"try: app(['compare', {str(logs)!r}])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'matplotlib', 'lightning'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()[-1] == "[]"


def test_a_cross_validation_of_one_set_is_shown_by_itself(compare, tmp_path, make_finished_run):
    for seed in (1, 2):
        for fold in range(2):
            make_finished_run(tmp_path / "logs" / f"{seed}{fold}", "turbo", seed=seed, fold=fold, folds=2)
    page, values = tmp_path / "out.html", tmp_path / "out.json"
    result = compare(tmp_path / "logs", "--html", page, "--json", values)
    assert result.exit_code == 0
    assert "each recording answered once" in result.output and "mean of 2" in result.output
    joined = json.loads(values.read_text())["cross_validations"]
    assert [one["seed"] for one in joined] == [1, 2]
    assert "Cross-validation of turbo" in page.read_text() and f"{joined[0]['scores']['auroc']:.3f}" in page.read_text()
