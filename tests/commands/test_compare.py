"""`birdnet-nl compare` as a user types it: tables, files, a page that needs no other file, and errors."""

import csv
import io
import json
import re
import subprocess
import sys

import pytest

SLUGS = ("koolmees", "merel", "vink")


@pytest.fixture
def compare(cli):
    return lambda *words: cli("compare", *words)


@pytest.fixture
def logs(tmp_path, make_finished_run):
    logs = tmp_path / "logs"
    for name, train_s in (("legacy", 200.0), ("fast", 100.0), ("turbo", 50.0)):
        for slug in SLUGS:
            make_finished_run(logs / name / slug / "a", name, slug, train_s=train_s)
        make_finished_run(logs / name / "koolmees" / "b-synthetic", name, "koolmees", synthetic=True)
    return logs


def test_real_and_synthetic_recordings_are_separate(compare, logs):
    output = compare(logs).output
    real, synthetic = output.split("on synthetic demo recordings")
    assert "legacy, fast, turbo on real recordings" in real and "Synthetic" not in real
    assert "Synthetic demo recordings: no result here applies to real birds" in synthetic
    assert "Koolmees" in real and "Merel" in real and "Merel" not in synthetic


def test_speed_and_verdicts_are_shown(compare, logs):
    output = compare(logs, "--sets", "legacy,fast").output
    assert re.search(r"training +2\.00 \(2\.00–2\.00\)", output)
    assert "“40–50 % faster per species” (as configured): confirmed; training a species takes 50% less time" in output
    assert "“at most 1–2 points less accurate”" in output and "turbo" not in output
    assert re.search(r"species, pairs +3, 3", output)


def test_another_baseline_can_be_chosen(compare, logs):
    output = compare(logs, "--baseline", "turbo", "--sets", "fast").output
    assert "turbo, fast on real recordings" in output and "against turbo" in output and "legacy" not in output
    assert "40–50 %" not in output


def test_all_files_hold_the_same_numbers(compare, logs, tmp_path):
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
    species = next(species for species in fast["species"] if species["species"] == "merel")
    estimate = species["differences"]["balanced_accuracy"]
    assert estimate["value"] == pytest.approx(difference, abs=1e-5)
    text = f"{100 * estimate['value']:+.1f} ({100 * estimate['low']:+.1f} to"
    assert text in files["markdown"].read_text() and text in files["html"].read_text()


def test_the_page_needs_no_other_file(compare, tmp_path, make_finished_run, read_page):
    for name in ("legacy", "fast"):
        make_finished_run(tmp_path / name / "real", name)
        make_finished_run(tmp_path / name / "invalid", name, synthetic=True, split_by="segment", shuffled=True)
    assert compare(tmp_path, "--html", tmp_path / "page.html").exit_code == 0
    text, page = read_page(tmp_path / "page.html")
    assert "script" not in page.tags and page.tags.count("svg") == 2 * 5
    assert all(link.startswith("#section") for link in page.links)
    assert text.count('class="banner severe"') == 2 and text.count('class="banner"') == 1
    for heading in (
        "balanced accuracy by species",
        "speed against accuracy",
        "reliability",
        "true and predicted types",
    ):
        assert text.count(f'<h3>{heading}</h3><div class="plot"><svg') == 2


def test_older_runs_are_shown_too(compare, tmp_path, make_finished_run, read_page):
    for name in ("legacy", "fast"):
        make_finished_run(tmp_path / name, name, old=True)
    result = compare(tmp_path, "--html", tmp_path / "page.html")
    assert result.exit_code == 0 and "Koolmees" in result.output
    read_page(tmp_path / "page.html")


def test_runs_that_are_left_out_are_listed(compare, logs, make_finished_run):
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
        (["/nowhere"], "/nowhere is not a folder; give one"),
    ],
)
def test_an_error_is_one_sentence(refuses, logs, words, text):
    refuses(text, "compare", *(word.format(logs=logs) for word in words))


def test_a_folder_without_finished_runs_is_one_sentence(refuses, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.yaml").touch()
    refuses(f"no finished runs below {tmp_path} (1 unfinished, 0 broken); train first", "compare", tmp_path)


def test_runs_that_cannot_be_compared_are_listed_with_the_reason(compare, tmp_path, make_finished_run):
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
    assert "each recording predicted once" in result.output and "mean of 2" in result.output
    joined = json.loads(values.read_text())["cross_validations"]
    assert [validation["seed"] for validation in joined] == [1, 2]
    assert "Cross-validation of turbo" in page.read_text() and f"{joined[0]['scores']['auroc']:.3f}" in page.read_text()
