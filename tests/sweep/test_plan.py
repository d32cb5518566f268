from dataclasses import replace

import pytest

from birdnet_nl.sweep.arguments import PlannedJobs
from birdnet_nl.sweep.jobs import configuration_key
from birdnet_nl.sweep.plan import MAX_NAMES, show_plan
from birdnet_nl.sweep.resume_plan import Action, JobPlan

SLUGS = ("merel", "vink", "roek", "ekster", "havik", "koolmees", "pimpelmees", "houtduif", "kolgans", "koperwiek",
         "boomkruiper", "winterkoning", "roodborst", "turkse_tortel")  # fmt: skip


@pytest.fixture
def shown_plan(tmp_path, compose_config, capsys):
    """The output for jobs whose recordings are in `tmp_path/data`, two in parallel, as one line."""
    (tmp_path / "data").mkdir()

    def show(jobs, plans=None) -> str:
        cfg = compose_config(
            "species=koolmees", "trainer=turbo", "data=xeno_canto", f"data.root={tmp_path / 'data'}",
            f"paths.logs={tmp_path / 'logs'}",
        )  # fmt: skip
        planned = PlannedJobs(jobs, {configuration_key(jobs[0].overrides): cfg})
        show_plan(planned, plans or [JobPlan(job, Action.START) for job in jobs], tmp_path / "logs/sweep-1", workers=2)
        return " ".join(capsys.readouterr().out.split())

    return show


def test_a_plan_lists_missing_recordings_and_writes_nothing(shown_plan, make_job, make_recordings_folder, tmp_path):
    make_recordings_folder(tmp_path / "data", "koolmees", {"song": 3})
    output = shown_plan([make_job("koolmees"), make_job("merel")])
    assert "2 jobs (turbo 2), 2 in parallel" in output and "2 to start" in output and "no recordings" in output
    assert "birdnet-nl download merel" in output and "download koolmees" not in output
    assert "the time is unknown" in output and "nothing was started" in output
    assert not (tmp_path / "logs").exists()


def test_a_plan_names_some_missing_species_and_counts_the_others(shown_plan, make_job):
    output = shown_plan([make_job(slug) for slug in SLUGS])
    assert f"download {' '.join(SLUGS[:MAX_NAMES])} (and {len(SLUGS) - MAX_NAMES} more species)" in output


def test_the_time_is_estimated_from_runs_of_the_same_set_and_kind(shown_plan, make_job, finish_run, tmp_path):
    jobs = [replace(make_job(slug), folder=f"turbo/{slug}/0-synthetic") for slug in ("merel", "vink", "roek")]
    for number in range(3):
        finish_run(tmp_path / f"logs/sweep-0/turbo/havik/{number}-synthetic", seconds=40.0)
    actions = (Action.SKIP, Action.START, Action.RESUME)
    output = shown_plan(jobs, [JobPlan(job, action) for job, action in zip(jobs, actions, strict=True)])
    assert "about 40 s, from the median of 3 finished runs" in output  # two of 40 s, two in parallel
    assert "1 already finished" in output and "1 to resume from the last epoch" in output
