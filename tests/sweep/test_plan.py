from dataclasses import replace

import pytest

from birdnet_nl.sweep.expanding import PlannedJobs
from birdnet_nl.sweep.jobs import kind_of
from birdnet_nl.sweep.plan import NAMED, show_plan
from birdnet_nl.sweep.resume_plan import Settled, Step

SLUGS = ("merel", "vink", "roek", "ekster", "havik", "koolmees", "pimpelmees", "houtduif", "kolgans", "koperwiek",
         "boomkruiper", "winterkoning", "roodborst", "turkse_tortel")  # fmt: skip


@pytest.fixture
def planned_for(tmp_path, compose_config):
    """What is said about jobs of the recordings in `tmp_path/data`, two at a time, as one line."""

    def info(jobs, capsys, steps=None) -> str:
        cfg = compose_config(
            "species=koolmees", "trainer=turbo", "data=xeno_canto", f"data.root={tmp_path / 'data'}",
            f"paths.logs={tmp_path / 'logs'}",
        )  # fmt: skip
        planned = PlannedJobs(jobs, {kind_of(jobs[0].overrides): cfg})
        settled = steps or [Settled(job, Step.BEGIN) for job in jobs]
        show_plan(planned, settled, tmp_path / "logs/sweep-1", workers=2)
        return " ".join(capsys.readouterr().out.split())

    return info


def test_a_plan_tells_what_there_is_and_what_is_missing_and_writes_nothing(
    planned_for, make_job, make_recordings_folder, tmp_path, capsys
):
    make_recordings_folder(tmp_path / "data", "koolmees", {"song": 3})
    said = planned_for([make_job("koolmees"), make_job("merel")], capsys)
    assert "2 jobs (turbo 2), 2 at a time" in said and "2 begins" in said and "no recordings" in said
    assert "birdnet-nl download merel" in said and "download koolmees" not in said
    assert "how long is not known" in said and "nothing was started" in said
    assert not (tmp_path / "logs").exists()


def test_of_many_that_are_missing_the_others_are_counted(planned_for, make_job, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    said = planned_for([make_job(slug) for slug in SLUGS], capsys)
    assert f"download {' '.join(SLUGS[:NAMED])} (and so for {len(SLUGS) - NAMED} more)" in said


def test_the_time_is_reckoned_from_runs_of_the_same_set_and_kind(planned_for, make_job, finish, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    jobs = [replace(make_job(slug), folder=f"turbo/{slug}/0-synthetic") for slug in ("merel", "vink", "roek")]
    for number in range(3):
        finish(tmp_path / f"logs/sweep-0/turbo/havik/{number}-synthetic", seconds=40.0)
    steps = [Settled(jobs[0], Step.SKIP), Settled(jobs[1], Step.BEGIN), Settled(jobs[2], Step.GO_ON)]
    said = planned_for(jobs, capsys, steps)
    assert "about 40 s, from the median of 3 finished runs" in said  # two of 40 s, two at a time
    assert "1 finished already" in said and "1 goes on from its last epoch" in said
