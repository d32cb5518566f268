import pytest
from omegaconf import OmegaConf

from birdnet_nl.sweep.job_file import JobRecord, State
from birdnet_nl.sweep.status import Watch, rebuild_sweep
from birdnet_nl.sweep.sweep_file import SWEEP
from birdnet_nl.util.errors import RunError


def note(folder, *typed: str) -> None:
    """What Hydra leaves in the folder of a sweep."""
    overrides = {"task": list(typed), "hydra": []}
    content = {"hydra": {"overrides": overrides, "runtime": {"choices": {"trainer": "fast"}}}}
    OmegaConf.save(OmegaConf.create(content), folder / "multirun.yaml")


def test_a_lost_ledger_is_made_again_with_the_jobs_that_never_began(make_sweep, make_job, finish):
    sweep = make_sweep({make_job("koolmees"): JobRecord(State.DONE), make_job("merel"): JobRecord(State.FAILED)})
    note(sweep.folder, "species=koolmees,merel,vink", "trainer=turbo")
    before = Watch(sweep.folder).look()
    (sweep.folder / SWEEP).unlink()
    assert {row.species for row in Watch(sweep.folder).look().rows} == {"koolmees", "merel"}
    assert len(rebuild_sweep(sweep.folder.parent).jobs) == 3  # the newest in the logs
    after = Watch(sweep.folder).look()
    states = {row.species: row.state for row in after.rows}
    assert states == {"koolmees": State.DONE, "merel": State.FAILED, "vink": State.WAITING}
    assert after.sweep.arguments == ("species=koolmees,merel,vink", "trainer=turbo")
    assert {row.species: row.figure for row in before.rows}.items() <= {
        row.species: row.figure for row in after.rows
    }.items()
    assert {job.folder for job in after.sweep.jobs} == {f"turbo/{slug}/0" for slug in ("koolmees", "merel", "vink")}


def with_overrides(folder, *overrides: str) -> None:
    """What Hydra leaves in the folder of a job."""
    (folder / ".hydra").mkdir()
    OmegaConf.save(OmegaConf.create(list(overrides)), folder / ".hydra/overrides.yaml")


def test_a_job_that_lies_elsewhere_than_its_arguments_tell_is_found_once(make_sweep, make_job, finish):
    sweep = make_sweep({})
    (sweep.folder / SWEEP).unlink()
    note(sweep.folder, "species=pool", "data.pool=[koolmees,merel]", "model=birdnet")
    finish(sweep.folder / "birdnet/pool-koolmees-merel/0")
    with_overrides(
        sweep.folder / "birdnet/pool-koolmees-merel/0", "species=pool", "data.pool=[koolmees,merel]", "model=birdnet"
    )
    assert [job.folder for job in rebuild_sweep(sweep.folder).jobs] == ["birdnet/pool-koolmees-merel/0"]


def test_a_note_that_does_not_tell_the_jobs_leaves_those_that_are_there(make_sweep, make_job):
    sweep = make_sweep({make_job("koolmees"): JobRecord(State.FAILED)})
    for text, arguments in (
        ("hydra: {overrides: {task: ['species=glob(kool*)']}, runtime: {choices: {trainer: fast}}}",
         ("species=glob(kool*)",)),
        ("hydra: {overrides: {task: [", ()),
    ):  # fmt: skip
        (sweep.folder / SWEEP).unlink()
        (sweep.folder / "multirun.yaml").write_text(text)
        rebuilt = rebuild_sweep(sweep.folder)
        assert [job.species for job in rebuilt.jobs] == ["koolmees"] and rebuilt.arguments == arguments


def test_coverage_counts_species_of_each_priority(make_sweep, make_job):
    sweep = make_sweep({make_job("koolmees"): JobRecord(State.DONE), make_job("merel"): None})
    coverage = Watch(sweep.folder).look().coverage()
    assert coverage[1][0] == 1 and coverage[2][0] == coverage[3][0] == 0
    assert sum(total for _, total in coverage.values()) == 232


def test_the_newest_sweep_is_looked_at(make_sweep, make_job):
    make_sweep({make_job("koolmees"): None}, "sweep-1", started=1.0)
    newer = make_sweep({make_job("merel"): None}, "sweep-2", started=2.0)
    assert Watch(newer.folder.parent).folder == newer.folder


def test_a_folder_that_is_none_is_told(tmp_path):
    with pytest.raises(RunError, match="is not a folder"):
        Watch(tmp_path / "nowhere")
    (tmp_path / "logs").mkdir()
    with pytest.raises(RunError, match="nothing to rebuild"):
        rebuild_sweep(tmp_path / "logs")
