import os

from birdnet_nl.sweep.fingerprints import configuration_fingerprint, recordings_fingerprint


def test_the_same_configuration_has_the_same_fingerprint_for_every_species(compose_config):
    first = compose_config("species=koolmees", "trainer=turbo")
    other = compose_config("species=merel", "trainer=turbo")
    assert configuration_fingerprint(first) == configuration_fingerprint(other)


def test_what_shapes_a_training_changes_it(compose_config):
    given = ("trainer=fast", "seed=2", "data.batch_size=8", "trainer.max_epochs=3", "model.channels=[8,16,16,32]")
    prints = {configuration_fingerprint(compose_config("species=koolmees", "trainer=turbo"))}
    prints |= {configuration_fingerprint(compose_config("species=koolmees", "trainer=turbo", text)) for text in given
               if not text.startswith("trainer=") and not text.startswith("model.")}  # fmt: skip
    prints.add(configuration_fingerprint(compose_config("species=koolmees", "trainer=fast")))
    assert len(prints) == 5


def test_where_and_how_fast_it_runs_does_not(compose_config):
    plain = configuration_fingerprint(compose_config("species=koolmees", "trainer=turbo"))
    for text in (
        "paths.logs=elsewhere",
        "paths.cache=elsewhere",
        "engine.threads=1",
        "launcher=joblib",
        "sweep.retries=3",
    ):
        assert configuration_fingerprint(compose_config("species=koolmees", "trainer=turbo", text)) == plain, text


def test_recordings_that_come_go_or_change_are_noticed(tmp_path, make_recordings_folder):
    folder = make_recordings_folder(tmp_path, "merel", {"song": 3, "call": 3})

    def now() -> str:
        return recordings_fingerprint("auto", str(tmp_path), "merel", None)

    seen = [now()]
    assert now() == seen[0]
    (folder / "notes.txt").write_text("not a recording")
    assert now() == seen[0]
    file = next(folder.rglob("*.wav"))
    os.utime(file, (1, 1))
    seen.append(now())
    file.unlink()
    seen.append(now())
    (folder / "recordings.csv").write_text("file,type\n")
    seen.append(now())
    assert len(set(seen)) == 4


def test_a_link_that_leads_nowhere_counts_as_it_is_and_again_when_its_file_is_back(tmp_path, make_recordings_folder):
    folder = make_recordings_folder(tmp_path / "data", "merel", {"song": 3})
    (folder / "song/XC99.wav").symlink_to(tmp_path / "disk/XC99.wav")  # as `birdnet-nl import` leaves them

    def now() -> str:
        return recordings_fingerprint("auto", str(tmp_path / "data"), "merel", None)

    without = now()
    assert len(without) == 16 and now() == without
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/XC99.wav").write_bytes(b"back")
    assert now() != without


def test_a_pool_is_all_of_its_members(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "merel", {"song": 2})
    make_recordings_folder(tmp_path, "vink", {"song": 2}, first_number=50)
    both = recordings_fingerprint("xeno_canto", str(tmp_path), "pool-merel-vink", ["merel", "vink"])
    next((tmp_path / "xeno-canto-vink").rglob("*.wav")).unlink()
    assert recordings_fingerprint("xeno_canto", str(tmp_path), "pool-merel-vink", ["merel", "vink"]) != both


def test_the_demo_is_told_by_its_configuration_and_nothing_by_nothing(tmp_path):
    assert recordings_fingerprint("demo", None, "merel", None) == "demo"
    assert recordings_fingerprint("xeno_canto", str(tmp_path), "merel", None) == ""
