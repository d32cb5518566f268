"""`birdnet-nl curve`: arguments of its sweep, and a real tiny one that continues after it was interrupted."""

import json
import shutil

import pytest

from birdnet_nl.commands import curve as curve_module
from birdnet_nl.commands.curve import SHARES, folder_name, sweep_arguments
from birdnet_nl.comparison.curve_files import write_curves
from birdnet_nl.comparison.learning_curve import TARGET
from birdnet_nl.util.errors import SelectionError
from tests.comparison.test_download_needs import curve_of


def test_the_sweep_trains_on_five_shares_in_five_folds():
    assert sweep_arguments(["Koolmees", "trainer=turbo"], SHARES, 5, 1) == [
        "species=koolmees", "trainer=turbo", "data.training_share=0.1,0.2,0.4,0.7,1", "data.folds=5",
        "data.fold=0,1,2,3,4", "evaluation.plots=false",
    ]  # fmt: skip
    assert curve_module.TARGET == TARGET


def test_arguments_that_are_given_replace_the_options():
    words = ["data.pool=all", "data.training_share=0.5,1", "data.fold=0", "data.folds=3", "evaluation.plots=true"]
    assert sweep_arguments([*words, "seed=7"], SHARES, 5, 3) == [*words, "seed=7"]
    assert sweep_arguments(["merel"], "1,0.5", 0, 2) == [
        "species=merel", "data.training_share=0.5,1", "seed=1,2", "evaluation.plots=false",
    ]  # fmt: skip


def test_the_same_arguments_continue_in_the_same_folder():
    first = sweep_arguments(["koolmees", "trainer=turbo"], SHARES, 5, 1)
    assert folder_name(first) == folder_name(sweep_arguments(["great tit", "trainer=turbo"], SHARES, 5, 1))
    assert folder_name(first).startswith("sweep-curve-koolmees-turbo-")
    assert folder_name(first) != folder_name(sweep_arguments(["koolmees", "trainer=turbo"], SHARES, 5, 2))
    assert folder_name(sweep_arguments(["data.pool=[vink,merel]"], SHARES, 5, 1)).startswith("sweep-curve-pool-vink-m")


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ([], (SHARES, 5, 1), "no species named"),
        (["koolmees", "data.pool=all"], (SHARES, 5, 1), "not both"),
        (["koolmees"], ("0.5", 5, 1), "--shares 0.5 is not possible"),
        (["koolmees"], ("0,1", 5, 1), "--shares 0,1 is not possible"),
        (["koolmees"], ("half,all", 5, 1), "is not possible"),
        (["koolmees"], (SHARES, 2, 1), "--folds 2 is not possible"),
        (["koolmus"], (SHARES, 5, 1), "koolmus"),
    ],
)
def test_impossible_arguments_are_one_sentence(words, options, message):
    with pytest.raises(SelectionError, match=message):
        sweep_arguments(words, *options)


@pytest.mark.slow
def test_a_tiny_sweep_gives_a_curve_and_continues_when_a_run_is_lost(cli, tmp_path):
    words = ["curve", "koolmees", "trainer=turbo", "data=demo_small", "trainer.max_epochs=1", "--folds", 0]
    words += ["--shares", "0.2,0.4,0.7,1", "--logs", tmp_path / "logs", f"paths.cache={tmp_path / 'cache'}"]
    result = cli(*words)
    assert result.exit_code == 0, result.output
    assert "SYNTHETIC demo recordings" in result.output and "koolmees: " in result.output
    (folder,) = (tmp_path / "logs").iterdir()
    (curve,) = json.loads((folder / "curve.json").read_text())["curves"]
    sizes = [point["recordings"] for point in curve["points"]]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]  # few recordists: two shares may give the same recordings
    assert (len(set(sizes)) < 4) == (curve["estimates"]["balanced_accuracy"]["law"] is None)
    for name in ("curve.csv", "curve-koolmees.png", "curve-koolmees.svg"):
        assert (folder / name).stat().st_size > 100
    runs = sorted(path for path in folder.glob("turbo/koolmees/*") if path.is_dir())
    times = {run: (run / "metrics.json").stat().st_mtime for run in runs[1:]}
    shutil.rmtree(runs[0])
    assert cli(*words).exit_code == 0
    assert (runs[0] / "metrics.json").is_file()
    assert {run: (run / "metrics.json").stat().st_mtime for run in runs[1:]} == times


@pytest.fixture
def logs(tmp_path, make_finished_run):
    """Logs with a run of Koolmees and a learning curve of it."""
    make_finished_run(tmp_path / "logs" / "run")
    write_curves(tmp_path / "logs", [curve_of(0.9, 0.16, 0.8)])
    return tmp_path / "logs"


def test_the_status_page_shows_the_curve(cli, logs, tmp_path):
    page = tmp_path / "status.html"
    cli("status", logs, "--html", page)
    text = page.read_text(encoding="utf-8")
    assert "Koolmees: learning curve, trainer=turbo" in text and "more recordings needed" in text
    assert "training recordings" in text[text.index("<svg") :]
    (logs / "curve.json").unlink()
    cli("status", logs, "--html", page)
    assert "earning curve" not in page.read_text(encoding="utf-8")


def test_the_page_of_a_species_shows_its_curve(cli, logs, make_recordings_folder, tmp_path):
    page = tmp_path / "data.html"
    for slug in ("koolmees", "merel"):
        make_recordings_folder(tmp_path / "xc", slug, {"song": 1}, duration_s=0.5)
        words = ["data", slug, "--root", tmp_path / "xc", "--logs", logs, "--cache", tmp_path / "cache"]
        assert cli(*words, "--html", page).exit_code == 0
        assert ("learning curve, trainer=turbo" in page.read_text(encoding="utf-8")) == (slug == "koolmees")
