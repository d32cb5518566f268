import json
import re
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.sweep.job_file import JobRecord, State
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.sweep.processes import this_process
from birdnet_nl.sweep.sweep_file import Sweep, write_sweep


@pytest.fixture
def sweep(tmp_path) -> Callable[..., Sweep]:
    """Four jobs: done, failed, too few recordings, and one that runs or waits."""

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
                from birdnet_nl.sweep.job_file import write_record

                write_record(folder / job.folder, record)
        figures = {"balanced_accuracy": 0.75, "intervals": {"balanced_accuracy": [0.6, 0.85]}}
        report = {"results": {"recording": figures}, "species": {"slug": "koolmees"},
                  "seconds": {"total": 4.0}, "seed": 1, "synthetic": True}  # fmt: skip
        (folder / "turbo/koolmees/0/metrics.json").write_text(json.dumps(report))
        if running:
            (folder / "turbo/roek/0/heartbeat.json").write_text('{"epoch": 3, "epochs": 12}')
        made = Sweep(folder, ("species=koolmees,merel,vink,roek",), tuple(jobs), 1.0)
        write_sweep(made)
        return made

    return make


def status(*arguments: str):
    return CliRunner().invoke(app, ["status", *arguments], env={"COLUMNS": "160"})


def test_the_table_shows_every_state_the_reason_and_the_way_on(sweep):
    made = sweep()
    done = status(str(made.folder.parent))
    assert done.exit_code == 1, done.output
    for words in (
        "Koolmees",
        "voltooid",
        "75.0% [60–85]",
        "mislukt",
        "te weinig opnames",
        "wachtend",
        "SYNTHETIC",
        "none of the 3 files can be used [mp3]",
        "python train.py -m sweep=",
        "3/4",
        "priority 1 1/",
    ):
        assert words in done.output, words  # fmt: skip


def test_names_can_be_english(sweep):
    done = status(str(sweep().folder), "--english")
    assert "Great Tit" in done.output and "too few recordings" in done.output and "Koolmees" not in done.output


def test_what_runs_shows_its_epoch_and_the_exit_code_says_so(sweep):
    done = status(str(sweep(running=True).folder))
    assert done.exit_code == 2 and "bezig, epoch 3/12" in done.output


def test_json_has_everything(sweep):
    values = json.loads(status(str(sweep().folder), "--json").stdout)
    assert values["counts"] == {"done": 1, "failed": 1, "too few recordings": 1, "waiting": 1}
    koolmees = next(job for job in values["jobs"] if job["species"] == "koolmees")
    assert koolmees["figure"] == 0.75 and koolmees["interval"] == [0.6, 0.85] and koolmees["state"] == "done"
    assert next(job for job in values["jobs"] if job["species"] == "merel")["reason"].endswith("[mp3]")


def test_the_page_needs_nothing_from_anywhere(sweep, tmp_path):
    status(str(sweep().folder), "--html", str(tmp_path / "status.html"))
    page = (tmp_path / "status.html").read_text()
    assert "Koolmees" in page and "75.0% [60–85]" in page and "Synthetic" in page
    assert not re.search(r"(src|href)=|https?://|@import", page)
    assert page.count("<tr>") == 5


def test_a_folder_without_runs_is_told(tmp_path):
    done = status(str(tmp_path))
    assert done.exit_code == 1 and "holds no runs" in done.output + done.stderr


def test_a_lost_ledger_is_rebuilt(sweep):
    made = sweep()
    (made.folder / "sweep.json").unlink()
    done = status(str(made.folder), "--rebuild")
    assert done.exit_code == 1 and "none of the 3 files" in done.output
    assert (made.folder / "sweep.json").is_file()


def test_disk_tells_what_lies_where(sweep, tmp_path):
    made = sweep()
    (tmp_path / "cache/mel").mkdir(parents=True)
    (tmp_path / "cache/mel/a.npy").write_bytes(b"x" * 2_000_000)
    done = status(str(made.folder), "--disk", "--cache", str(tmp_path / "cache"))
    assert done.exit_code == 0 and "2.0" in done.output and "GB free" in done.output
    values = json.loads(status(str(made.folder), "--disk", "--json", "--cache", str(tmp_path / "cache")).stdout)
    assert any(usage["place"] == "cache" and usage["bytes"] == 2_000_000 for usage in values["usages"])
