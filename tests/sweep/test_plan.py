from dataclasses import replace

import pytest

from birdnet_nl.sweep.arguments import PlannedJobs
from birdnet_nl.sweep.job_file import JobRecord, State, write_record
from birdnet_nl.sweep.jobs import configuration_key
from birdnet_nl.sweep.plan import EARLIER, MAX_NAMES, Action, JobPlan, move_aside, plan_job, show_plan

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


@pytest.fixture
def planned(tmp_path, make_job):
    """The plan of the job in `tmp_path`, for a configuration `c` and recordings `r`."""

    def plan(configuration: str = "c", recordings: str = "r", run_dir=tmp_path) -> JobPlan:
        return plan_job(make_job("merel"), run_dir, configuration, recordings)

    return plan


def record(state: State) -> JobRecord:
    return JobRecord(state, configuration="c", recordings="r")


@pytest.mark.parametrize(
    ("state", "action"), [(State.FAILED, Action.RETRY), (State.TOO_FEW, Action.RETRY), (State.CANCELLED, Action.RESUME)]
)
def test_an_unchanged_job_is_planned_by_its_state(tmp_path, planned, finish_run, state, action):
    assert planned(run_dir=tmp_path / "missing").action == Action.START
    write_record(tmp_path, record(state))
    assert planned().action == action
    write_record(tmp_path, record(State.DONE))
    finish_run(tmp_path)
    assert planned().action == Action.SKIP


def test_a_running_job_is_left_alone_and_resumes_once_its_process_died(tmp_path, planned, running, ended_process):
    write_record(tmp_path, running)
    assert planned().action == Action.RUNNING and not planned().is_todo
    write_record(tmp_path, replace(running, process=ended_process))
    assert planned().action == Action.RESUME and planned().is_todo


def test_a_changed_job_starts_again_with_the_reason(tmp_path, planned, finish_run):
    write_record(tmp_path, record(State.DONE))
    finish_run(tmp_path)
    assert (planned("other").action, planned("other").reason) == (Action.RESTART, "its configuration changed")
    assert planned(recordings="more").reason == "its recordings changed"


def test_a_finished_run_without_a_record_is_skipped(tmp_path, planned, finish_run):
    finish_run(tmp_path)
    assert planned().action == Action.SKIP


def test_runs_moved_aside_are_kept_and_hidden_from_comparisons(tmp_path, finish_run):
    from birdnet_nl.comparison.finished_runs import find_runs

    run_dir = tmp_path / "turbo/merel/0"
    moved = []
    for number in range(3):
        finish_run(run_dir, accuracy=number / 10)
        write_record(run_dir, record(State.DONE))
        moved.append(move_aside(run_dir))
        assert not run_dir.exists()
    assert len(set(moved)) == 3 and all((path / "metrics.json").is_file() for path in moved)
    assert {path.parent.name for path in moved} == {EARLIER}
    search = find_runs([tmp_path])
    assert not search.runs and not search.broken
    assert move_aside(run_dir) is None
