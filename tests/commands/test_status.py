"""`birdnet-nl status` as a user types it: table, JSON, page, exit codes and a lost `sweep.json`."""

import json

import pytest

from birdnet_nl.sweep.job_file import JobRecord, State, write_record
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.sweep.processes import this_process
from birdnet_nl.sweep.sweep_file import Sweep, write_sweep


@pytest.fixture
def status(cli):
    return lambda *words: cli("status", *words)


@pytest.fixture
def make_sweep(tmp_path):
    """Makes a sweep of four jobs: done, failed, too few recordings, and one that is running or waiting."""

    def make(running: bool = False) -> Sweep:
        records = {
            "koolmees": JobRecord(State.DONE, started=1.0),
            "merel": JobRecord(State.FAILED, reason="merel: none of the 3 files can be used [mp3]"),
            "vink": JobRecord(State.TOO_FEW, reason="vink: fewer than two types have enough recordings"),
            "roek": JobRecord(State.RUNNING, process=this_process(), started=2.0) if running else None,
        }
        folder = tmp_path / "logs/sweep-1"
        jobs = []
        for slug, record in records.items():
            job = Job((f"species={slug}", "trainer=turbo"), f"turbo/{slug}/0", slug, "turbo")
            jobs.append(job)
            (folder / job.folder).mkdir(parents=True)
            if record is not None:
                write_record(folder / job.folder, record)
        scores = {"balanced_accuracy": 0.75, "intervals": {"balanced_accuracy": [0.6, 0.85]}}
        report = {"results": {"recording": scores}, "species": {"slug": "koolmees"},
                  "seconds": {"total": 4.0}, "seed": 1, "synthetic": True}  # fmt: skip
        (folder / "turbo/koolmees/0/metrics.json").write_text(json.dumps(report))
        if running:
            (folder / "turbo/roek/0/heartbeat.json").write_text('{"epoch": 3, "epochs": 12}')
        sweep = Sweep(folder, ("species=koolmees,merel,vink,roek",), tuple(jobs), 1.0)
        write_sweep(sweep)
        return sweep

    return make


@pytest.fixture
def sweep(make_sweep):
    return make_sweep()


def test_the_table_shows_every_state_the_reasons_and_the_command_to_continue(status, sweep):
    result = status(sweep.folder.parent, "--dutch")
    assert result.exit_code == 1
    states = ("voltooid", "mislukt", "te weinig opnames", "wachtend")
    metrics = ("Koolmees", "75.0% [60–85]", "SYNTHETIC", "3/4", "priority 1 1/")
    for text in (*states, *metrics, "none of the 3 files can be used [mp3]", "python train.py -m sweep="):
        assert text in result.output, text


def test_names_and_states_are_english_by_default(status, sweep):
    output = status(sweep.folder).output
    assert "Great Tit" in output and "too few recordings" in output and "Koolmees" not in output


def test_a_running_job_shows_its_epoch_and_sets_the_exit_code(status, make_sweep):
    result = status(make_sweep(running=True).folder)
    assert result.exit_code == 2 and "running, epoch 3/12" in result.output


def test_json_is_complete_beside_a_page(status, sweep, tmp_path):
    values = json.loads(status(sweep.folder, "--json", "--html", tmp_path / "status.html").stdout)
    assert values["counts"] == {"done": 1, "failed": 1, "too few recordings": 1, "waiting": 1}
    jobs = {job["species"]: job for job in values["jobs"]}
    assert jobs["koolmees"]["balanced_accuracy"] == 0.75 and jobs["koolmees"]["interval"] == [0.6, 0.85]
    assert jobs["koolmees"]["state"] == "done" and jobs["merel"]["reason"].endswith("[mp3]")


def test_the_page_needs_no_other_file(status, make_sweep, tmp_path, read_page):
    status(make_sweep(running=True).folder, "--html", tmp_path / "status.html")
    text, page = read_page(tmp_path / "status.html")
    assert "Great Tit" in text and "75.0% [60–85]" in text and "Synthetic" in text and "running 3/12" in text
    assert page.links == [] and "http" not in text and page.tags.count("tr") == 5


def test_a_folder_without_runs_is_one_sentence(refuses, tmp_path):
    refuses("holds no runs", "status", tmp_path)


def test_a_lost_sweep_file_is_rebuilt(status, sweep):
    (sweep.folder / "sweep.json").unlink()
    result = status(sweep.folder, "--rebuild")
    assert result.exit_code == 1 and "none of the 3 files" in result.output
    assert (sweep.folder / "sweep.json").is_file()
