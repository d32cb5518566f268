import os

from omegaconf import OmegaConf

from birdnet_nl.sweep.fingerprints import configuration_fingerprint, recordings_fingerprint

BASE = ("species=koolmees", "trainer=turbo")


def test_the_configuration_fingerprint_does_not_depend_on_the_species(compose_config):
    first, second = compose_config(*BASE), compose_config("species=merel", "trainer=turbo")
    assert configuration_fingerprint(first) == configuration_fingerprint(second)


def test_values_that_affect_the_training_change_the_fingerprint(compose_config):
    base = compose_config(*BASE)
    values = ({}, {"seed": 2}, {"data": {"batch_size": 8}}, {"trainer": {"max_epochs": 3}})
    changed = [OmegaConf.merge(base, change) for change in values]
    assert len({*map(configuration_fingerprint, [*changed, compose_config(BASE[0], "trainer=fast")])}) == 5


def test_location_and_speed_do_not_change_the_fingerprint(compose_config):
    moved = compose_config(
        *BASE, "paths.logs=elsewhere", "paths.cache=elsewhere", "engine.threads=1", "launcher=joblib",
        "sweep.retries=3", "evaluation.plots=false",
    )  # fmt: skip
    assert configuration_fingerprint(moved) == configuration_fingerprint(compose_config(*BASE))


def test_added_removed_and_changed_recordings_change_the_fingerprint(tmp_path, make_recordings_folder):
    folder = make_recordings_folder(tmp_path / "data", "merel", {"song": 3, "call": 3})

    def fingerprint() -> str:
        return recordings_fingerprint("auto", str(tmp_path / "data"), "merel", None)

    fingerprints = [fingerprint()]
    (folder / "notes.txt").write_text("not a recording")
    assert len(fingerprints[0]) == 16 and fingerprint() == fingerprints[0]
    file = next(folder.rglob("*.wav"))
    for change in (
        lambda: os.utime(file, (1, 1)),
        file.unlink,
        lambda: (folder / "recordings.csv").write_text("file,type\n"),
        lambda: file.symlink_to(tmp_path / "XC99.wav"),  # as written by `birdnet-nl import`: broken, so it counts too
        lambda: (tmp_path / "XC99.wav").write_bytes(b"back"),
    ):
        change()
        fingerprints.append(fingerprint())
    assert len(set(fingerprints)) == 6
    (tmp_path / "elsewhere").mkdir()
    (folder / "alarm").symlink_to(tmp_path / "elsewhere")
    assert fingerprint() == fingerprints[-1]
    (tmp_path / "elsewhere" / "XC100.wav").write_bytes(b"in a linked type folder")
    assert fingerprint() not in fingerprints


def test_the_fingerprint_of_a_pool_includes_every_member(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "merel", {"song": 2})
    make_recordings_folder(tmp_path, "vink", {"song": 2}, first_number=50)
    arguments = ("xeno_canto", str(tmp_path), "pool-merel-vink", ["merel", "vink"])
    before = recordings_fingerprint(*arguments)
    next((tmp_path / "xeno-canto-vink").rglob("*.wav")).unlink()
    assert recordings_fingerprint(*arguments) != before


def test_demo_recordings_and_missing_recordings_have_fixed_fingerprints(tmp_path):
    assert recordings_fingerprint("demo", None, "merel", None) == "demo"
    assert recordings_fingerprint("xeno_canto", str(tmp_path), "merel", None) == ""
