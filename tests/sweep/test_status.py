from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from birdnet_nl.sweep.job_file import JobRecord, State
from birdnet_nl.sweep.status import StatusReader, rebuild_sweep
from birdnet_nl.sweep.sweep_file import SWEEP, write_sweep
from birdnet_nl.util.errors import RunError


def write_multirun_file(folder, *arguments: str) -> None:
    """Write the file that Hydra leaves in the folder of a sweep."""
    overrides = {"task": list(arguments), "hydra": []}
    content = {"hydra": {"overrides": overrides, "runtime": {"choices": {"trainer": "fast"}}}}
    OmegaConf.save(OmegaConf.create(content), folder / "multirun.yaml")


def test_a_lost_sweep_file_is_rebuilt_with_the_jobs_that_never_started(make_sweep, make_job):
    sweep = make_sweep({make_job("koolmees"): JobRecord(State.DONE), make_job("merel"): JobRecord(State.FAILED)})
    write_multirun_file(sweep.folder, "species=koolmees,merel,vink", "trainer=turbo")
    before = StatusReader(sweep.folder).read()
    (sweep.folder / SWEEP).unlink()
    assert {row.species for row in StatusReader(sweep.folder).read().rows} == {"koolmees", "merel"}
    assert len(rebuild_sweep(sweep.folder.parent).jobs) == 3  # the newest sweep in the logs
    after = StatusReader(sweep.folder).read()
    states = {row.species: row.state for row in after.rows}
    assert states == {"koolmees": State.DONE, "merel": State.FAILED, "vink": State.WAITING}
    assert after.sweep.arguments == ("species=koolmees,merel,vink", "trainer=turbo")
    accuracies = [{row.species: row.balanced_accuracy for row in status.rows} for status in (before, after)]
    assert accuracies[0].items() <= accuracies[1].items()
    assert {job.folder for job in after.sweep.jobs} == {f"turbo/{slug}/0" for slug in ("koolmees", "merel", "vink")}


def test_a_job_in_another_folder_than_its_arguments_imply_is_rebuilt_once(make_sweep, finish_run):
    sweep = make_sweep({})
    (sweep.folder / SWEEP).unlink()
    arguments = ("species=pool", "data.pool=[koolmees,merel]", "trainer=birdnet")
    write_multirun_file(sweep.folder, *arguments)
    run_dir = sweep.folder / "birdnet/pool-koolmees-merel/0"
    finish_run(run_dir)
    (run_dir / ".hydra").mkdir()
    OmegaConf.save(OmegaConf.create(list(arguments)), run_dir / ".hydra/overrides.yaml")
    assert [job.folder for job in rebuild_sweep(sweep.folder).jobs] == ["birdnet/pool-koolmees-merel/0"]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (
            "hydra: {overrides: {task: ['species=glob(kool*)']}, runtime: {choices: {trainer: fast}}}",
            ("species=glob(kool*)",),
        ),
        ("hydra: {overrides: {task: [", ()),
    ],
)
def test_without_usable_arguments_the_jobs_are_the_runs_on_disk(make_sweep, make_job, text, arguments):
    sweep = make_sweep({make_job("koolmees"): JobRecord(State.FAILED)})
    (sweep.folder / SWEEP).unlink()
    (sweep.folder / "multirun.yaml").write_text(text)
    rebuilt = rebuild_sweep(sweep.folder)
    assert [job.species for job in rebuilt.jobs] == ["koolmees"] and rebuilt.arguments == arguments


def test_coverage_counts_species_by_priority(make_sweep, make_job):
    sweep = make_sweep({make_job("koolmees"): JobRecord(State.DONE), make_job("merel"): None})
    coverage = StatusReader(sweep.folder).read().coverage()
    assert coverage[1][0] == 1 and coverage[2][0] == coverage[3][0] == 0
    assert sum(total for _, total in coverage.values()) == 232


def test_the_newest_sweep_of_the_logs_is_read(make_sweep, make_job):
    make_sweep({make_job("koolmees"): None}, "sweep-1", started=1.0)
    newer = make_sweep({make_job("merel"): None}, "sweep-2", started=2.0)
    assert StatusReader(newer.folder.parent).folder == newer.folder


def test_a_missing_or_empty_folder_is_an_error(tmp_path):
    with pytest.raises(RunError, match="is not a folder"):
        StatusReader(tmp_path / "nowhere")
    (tmp_path / "logs").mkdir()
    with pytest.raises(RunError, match=r"holds no runs and no multirun\.yaml"):
        rebuild_sweep(tmp_path / "logs")


def test_coverage_is_of_the_table_of_the_sweep(make_sweep, make_job, tmp_path):
    table = tmp_path / "own.csv"
    table.write_text("scientific,slug,priority\nParus major,koolmees,2\nMelospiza melodia,,2\n", encoding="utf-8")
    sweep = make_sweep({make_job("koolmees"): JobRecord(State.DONE), make_job("melospiza_melodia"): None})
    write_sweep(replace(sweep, arguments=(*sweep.arguments, f"species_table='{table}'")))
    assert StatusReader(sweep.folder).read().coverage() == {2: (1, 2)}
    table.unlink()  # the one in use instead
    assert sum(total for _, total in StatusReader(sweep.folder).read().coverage().values()) == 232


def test_there_is_no_coverage_of_pools_and_species_outside_the_table(make_sweep, make_job):
    sweep = make_sweep({make_job("pool-all"): JobRecord(State.DONE), make_job("melospiza_melodia"): None})
    assert StatusReader(sweep.folder).read().coverage() == {}
