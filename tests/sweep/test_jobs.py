import pytest

from birdnet_nl.sweep.jobs import Job, configuration_key, job_key, job_keys, keep_folders, number_jobs


def folders(*rows: tuple[str, ...]) -> list[str]:
    candidates = []
    for overrides in rows:
        given = dict(text.split("=", 1) for text in overrides)
        candidates.append((overrides, given["species"], given.get("trainer", "fast"), ""))
    return [job.folder for job in number_jobs(candidates)]


def test_the_number_does_not_depend_on_the_other_species():
    both = folders(("species=koolmees", "seed=1"), ("species=koolmees", "seed=2"), ("species=merel", "seed=1"))
    assert both == ["fast/koolmees/0", "fast/koolmees/1", "fast/merel/0"]
    assert folders(("species=merel", "seed=1"), ("species=merel", "seed=2")) == ["fast/merel/0", "fast/merel/1"]


def test_every_job_has_its_own_folder():
    rows = [(f"species={species}", f"trainer={name}") for species in ("vink", "merel") for name in ("legacy", "turbo")]
    assert folders(*rows) == ["legacy/vink/0", "turbo/vink/0", "legacy/merel/0", "turbo/merel/0"]
    assert folders(("species=vink",), ("species=vink",)) == ["fast/vink/0", "fast/vink/0-2"]


def test_a_job_is_identified_independent_of_order_and_launcher():
    here = ("species=vink", "trainer=turbo", "seed=2")
    there = ("launcher=joblib", "seed=2", "hydra.sweep.dir=x", "species=vink", "paths.logs=y", "trainer=turbo")
    assert job_key(here) == job_key(there)
    assert configuration_key(here) == ("trainer=turbo", "seed=2")


def jobs_with_seeds(*seeds: int, mark: str = "") -> list[Job]:
    rows = [("species=vink", "trainer=fast", f"seed={seed}") for seed in seeds]
    return number_jobs([(overrides, "vink", "fast", mark) for overrides in rows])


@pytest.mark.parametrize(
    ("before", "now", "numbers"),
    [
        ((), (1, 2), "01"),
        ((1, 2), (2, 1), "10"),
        ((1, 2), (2,), "1"),
        ((1, 2), (3, 1, 2), "201"),
        ((1, 2, 3), (4, 1), "30"),
        ((1, 2), (1, 2, 3), "012"),
        ((1,), (2,), "0"),  # starts again, with the message that its configuration changed
    ],
    ids=str,
)
def test_a_job_keeps_its_folder_when_a_sweep_is_resumed(before, now, numbers):
    placed = keep_folders(jobs_with_seeds(*now), jobs_with_seeds(*before))
    assert [job.folder for job in placed] == [f"fast/vink/{number}" for number in numbers]
    assert [job.overrides for job in placed] == [job.overrides for job in jobs_with_seeds(*now)]


def test_the_mark_of_synthetic_recordings_is_the_current_one():
    (placed,) = keep_folders(jobs_with_seeds(2), jobs_with_seeds(1, 2, mark="-synthetic"))
    assert placed.folder == "fast/vink/1"


def job_in(root: str, seed: int = 1) -> Job:
    overrides = ("species=vink", "trainer=fast", f"seed={seed}", f"data.root={root}")
    return number_jobs([(overrides, "vink", "fast", "")])[0]


def test_a_moved_folder_of_recordings_does_not_make_other_jobs():
    assert job_keys([job_in("/old")]) == job_keys([job_in("'/new (2024)'")])
    assert [job.folder for job in keep_folders([job_in("/new")], [job_in("/old")])] == ["fast/vink/0"]
    assert len(set(job_keys([job_in("/a"), job_in("/b")]))) == 2  # a sweep over two folders
