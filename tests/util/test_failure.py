"""Foreseen exceptions are explained in one sentence; bugs keep their traceback."""

import errno

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from hydra.utils import instantiate

from birdnet_nl.commands.train_main import parameter_names
from birdnet_nl.data.segments import check_max_segments
from birdnet_nl.util.conf_values import conf_dir
from birdnet_nl.util.errors import BirdnetNlError, DataError, RunError, SelectionError, SetupError
from birdnet_nl.util.failure import explain, mark_printed, print_error


def caught(action) -> BaseException:
    with pytest.raises(BaseException) as info:
        action()
    return info.value


@pytest.fixture
def explain_overrides(compose_config):
    """Explain the error of overrides that do not compose."""
    return lambda *overrides: explain(caught(lambda: compose_config(*overrides)), parameter_names)


@pytest.mark.parametrize("kind", [DataError, RunError, SelectionError, SetupError])
def test_errors_of_the_package_are_their_own_explanation(kind):
    assert issubclass(kind, BirdnetNlError)
    assert explain(kind("koolmees: 0 alarm recordings")) == "koolmees: 0 alarm recordings"


def test_a_value_error_of_the_package_is_its_own_explanation():
    error = caught(lambda: check_max_segments(0))
    assert isinstance(error, ValueError)
    assert explain(error) == str(error)
    assert "data.max_segments_per_type=0" in explain(error)


def test_a_value_error_during_instantiate_is_found_behind_hydras_error(compose_config):
    cfg = compose_config("species=koolmees", "mel.f_max_hz=30000")
    sentence = explain(caught(lambda: instantiate(cfg.mel)))
    assert sentence.startswith("mel.f_max_hz=30000") and sentence.endswith("choose at most 24000")


@pytest.mark.parametrize("error", [ValueError("a bug"), TypeError("a bug"), KeyError("x"), ZeroDivisionError()])
def test_a_bug_has_no_explanation(error):
    def fail():
        raise error

    assert explain(caught(fail)) is None


def test_a_cause_deep_in_the_chain_is_found_and_a_cyclic_chain_ends():
    outer, middle, inner = KeyError("loader"), RuntimeError("worker died"), DataError("the sentence")
    outer.__cause__, middle.__cause__ = middle, inner
    assert explain(outer) == "the sentence"
    middle.__cause__ = outer
    assert explain(outer) is None


def test_a_handled_error_does_not_hide_a_later_bug():
    def fail():
        try:
            raise DataError("handled")
        except DataError:
            raise TypeError("a bug") from None

    assert explain(caught(fail)) is None


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "the disk is full (logs/x.ckpt); nothing finished is lost: free some space, then resume with"),
        (errno.EDQUOT, "the disk is full (logs/x.ckpt)"),
        (
            errno.EACCES,
            "no permission to write (logs/x.ckpt); choose other folders with paths.logs=… and paths.cache=…",
        ),
        (errno.EPERM, "no permission to write"),
        (errno.EROFS, "no permission to write"),
    ],
)
def test_errors_of_the_disk_say_what_to_do(number, sentence):
    assert explain(OSError(number, "system text", "logs/x.ckpt")).startswith(sentence)


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "cache").write_text("not a folder")
    sentence = explain(caught(lambda: (tmp_path / "cache" / "mel").mkdir(parents=True)))
    assert sentence.startswith("a file is in the way of a folder") and str(tmp_path / "cache") in sentence


def test_an_unforeseen_os_error_has_no_explanation():
    assert explain(OSError(errno.EIO, "I/O error")) is None
    assert explain(OSError(errno.EIO, "I/O error", "x")) == "x cannot be used (I/O error); give another path"


def test_unreadable_recordings_are_not_explained_as_unwritable_folders(monkeypatch, tmp_path):
    from pathlib import Path

    from birdnet_nl.data.sources import choose_source
    from birdnet_nl.species.table import get_species

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)  # root may read everything, so chmod has no effect
    sentence = explain(caught(lambda: choose_source("auto", tmp_path, get_species("merel"))))
    assert "paths.logs" not in sentence and str(tmp_path) in sentence


@pytest.mark.parametrize(
    ("override", "similar"),
    [
        ("trainer.max_epoch=5", "trainer.max_epochs"),
        ("data.batchsize=3", "data.batch_size"),
        ("engine.thread=3", "engine.threads"),
        ("optimiser.lr=1e-3", "optimizer.lr"),
    ],
)
def test_an_unknown_parameter_is_explained_with_the_most_similar_one(explain_overrides, override, similar):
    key = override.partition("=")[0]
    assert explain_overrides("species=koolmees", override) == f"{key} is not a parameter; did you mean {similar}?"


def test_an_unknown_parameter_without_a_similar_one_names_the_command_that_lists_all(explain_overrides):
    assert explain_overrides("xyzzy=3") == "xyzzy is not a parameter; python train.py --cfg job shows all parameters"


def test_an_unknown_option_is_explained_with_the_possible_ones(explain_overrides):
    sentence = explain_overrides("trainer=legasy")
    assert sentence.startswith("trainer=legasy does not exist; did you mean legacy?")
    assert "fast, frozen, head, legacy, turbo" in sentence
    assert explain_overrides("mel=qqq") == "mel=qqq does not exist; possible: emsn, wide, wide_coarse"
    assert explain_overrides("data/types=tien").startswith("data/types=tien does not exist; did you mean ten?")


def test_several_values_without_a_sweep_are_explained():
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        error = caught(lambda: loader.load_configuration("train", ["seed=1,2"], RunMode.RUN))
    assert explain(error) == (
        "seed=1,2 names several values; add -m to run every combination: python train.py -m seed=1,2"
    )


def test_a_missing_value_is_named(compose_config):
    cfg = compose_config("species=koolmees", "trainer=fast", "optimizer.lr=???")
    assert explain(caught(lambda: cfg.optimizer.lr)) == "optimizer.lr has no value; give one: optimizer.lr=…"


def test_parameters_are_listed_only_for_an_unknown_one(compose_config):
    def never():
        raise AssertionError("listed")

    assert explain(DataError("x"), never) == "x"
    assert "does not exist" in explain(caught(lambda: compose_config("trainer=legasy")), never)


@pytest.mark.parametrize("override", ["data.root=/a (b) c", "trainer=legasy", "+trainer.max_epochs=3", "~trainer.none"])
def test_an_explanation_is_one_line(explain_overrides, override):
    sentence = explain_overrides(override)
    assert sentence and "\n" not in sentence and len(sentence) <= 500


def test_the_error_of_a_resolver_is_its_own_explanation(compose_config):
    cfg = compose_config("species=pool", "data.pool=al")
    sentence = explain(caught(lambda: cfg.species.slug))
    assert sentence.startswith("species=al is not a species") and "full_key" not in sentence


def test_an_error_is_printed_once(capsys):
    error, bug = DataError("no [recordings]"), KeyError("x")
    assert print_error(error) and print_error(error) and not print_error(bug)
    assert capsys.readouterr().err == "✗ no [recordings]\n"
    mark_printed(bug)
    assert print_error(bug)
