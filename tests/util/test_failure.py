"""The right exceptions become one sentence; the others keep their traceback."""

import errno

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from hydra.utils import instantiate

from birdnet_nl.data.segments import limit_per_type
from birdnet_nl.util.errors import BirdnetNlError, DataError, RunError, SelectionError, SetupError
from birdnet_nl.util.failure import explain


def caught(action) -> BaseException:
    with pytest.raises(BaseException) as info:
        action()
    return info.value


@pytest.fixture
def explain_overrides(compose_config, train_script):
    """The sentence for overrides that do not compose."""

    def explained(*overrides: str) -> str | None:
        return explain(caught(lambda: compose_config(*overrides)), train_script.parameter_names)

    return explained


@pytest.mark.parametrize("kind", [DataError, RunError, SelectionError, SetupError])
def test_our_errors_are_their_own_sentence(kind):
    assert issubclass(kind, BirdnetNlError)
    assert explain(kind("koolmees: 0 alarm recordings")) == "koolmees: 0 alarm recordings"


def test_a_refused_argument_is_its_own_sentence():
    error = caught(lambda: limit_per_type([], {}, 0, None))
    assert isinstance(error, ValueError)
    assert explain(error) == str(error)
    assert "data.max_segments_per_type=0" in explain(error)


def test_an_argument_refused_during_instantiate_is_found_behind_hydras_error(compose_config):
    cfg = compose_config("species=koolmees", "mel.f_max_hz=30000")
    sentence = explain(caught(lambda: instantiate(cfg.mel)))
    assert sentence.startswith("mel.f_max_hz=30000") and sentence.endswith("choose at most 24000")


@pytest.mark.parametrize("error", [ValueError("a bug"), TypeError("a bug"), KeyError("x"), ZeroDivisionError()])
def test_a_bug_keeps_its_traceback(error):
    def fail():
        raise error

    assert explain(caught(fail)) is None


def test_a_cause_deep_in_the_chain_is_found():
    def fail():
        try:
            try:
                raise DataError("the sentence")
            except DataError as inner:
                raise RuntimeError("worker died") from inner
        except RuntimeError as outer:
            raise KeyError("loader") from outer

    assert explain(caught(fail)) == "the sentence"


def test_a_chain_that_bites_its_tail_ends():
    first, second = KeyError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    assert explain(first) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_how_to_go_on(number):
    sentence = explain(OSError(number, "No space left", "logs/x.ckpt"))
    assert sentence.startswith("the disk is full (logs/x.ckpt)")
    assert "resume=" in sentence


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_no_permission_says_where_else_to_write(number):
    sentence = explain(OSError(number, "no", "/etc/logs"))
    assert sentence.startswith("no permission") and "(/etc/logs)" in sentence and "paths.logs=" in sentence


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "cache").write_text("not a folder")
    sentence = explain(caught(lambda: (tmp_path / "cache" / "mel").mkdir(parents=True)))
    assert sentence.startswith("a file is in the way of a folder") and str(tmp_path / "cache") in sentence


def test_an_os_error_that_nobody_foresaw_keeps_its_traceback():
    assert explain(OSError(errno.EIO, "I/O error", "x")) is None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("trainer.max_epoch=5", "trainer.max_epochs"),
        ("data.batchsize=3", "data.batch_size"),
        ("engine.thread=3", "engine.threads"),
        ("optimiser.lr=1e-3", "optimizer.lr"),
    ],
)
def test_an_unknown_parameter_is_answered_with_the_nearest(explain_overrides, typed, meant):
    key = typed.partition("=")[0]
    assert explain_overrides("species=koolmees", typed) == f"{key} is not a parameter; did you mean {meant}?"


def test_a_parameter_like_nothing_is_answered_with_where_to_look(explain_overrides):
    assert explain_overrides("xyzzy=3") == "xyzzy is not a parameter; python train.py --cfg job shows all parameters"


def test_an_unknown_option_is_answered_with_those_there_are(explain_overrides):
    sentence = explain_overrides("trainer=legasy")
    assert sentence.startswith("trainer=legasy does not exist; did you mean legacy?")
    assert "fast, head, legacy, turbo" in sentence
    assert explain_overrides("mel=qqq") == "mel=qqq does not exist; possible: emsn, wide, wide_coarse"


def test_several_values_without_m_say_to_add_it(compose_config, train_script):
    from hydra import initialize_config_dir

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(train_script.CONFIG_DIR), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        error = caught(lambda: loader.load_configuration("train", ["seed=1,2"], RunMode.RUN))
    assert explain(error) == (
        "seed=1,2 names several values; add -m to run every combination: python train.py -m seed=1,2"
    )


def test_a_missing_value_is_named(compose_config):
    cfg = compose_config("species=koolmees", "trainer=fast", "optimizer.lr=???")
    assert explain(caught(lambda: cfg.optimizer.lr)) == "optimizer.lr has no value; give one: optimizer.lr=…"


def test_the_list_of_parameters_is_asked_for_only_when_one_was_unknown(explain_overrides, compose_config):
    def never():
        raise AssertionError("asked")

    assert explain(DataError("x"), never) == "x"
    assert "does not exist" in explain(caught(lambda: compose_config("trainer=legasy")), never)


def test_a_sentence_is_one_line(explain_overrides):
    for overrides in (["data.root=/a (b) c"], ["trainer=legasy"], ["+trainer.max_epochs=3"], ["~trainer.nothing"]):
        sentence = explain_overrides(*overrides)
        assert sentence and "\n" not in sentence and len(sentence) <= 500


def test_no_permission_to_read_the_recordings_does_not_advise_other_folders_for_writing(monkeypatch, tmp_path):
    from pathlib import Path

    from birdnet_nl.data.sources import choose_source
    from birdnet_nl.species.table import get_species

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)  # root may read everything, so chmod would not do
    sentence = explain(caught(lambda: choose_source("auto", tmp_path, get_species("merel"))))
    assert "paths.logs" not in sentence and str(tmp_path) in sentence


def test_an_error_that_was_answered_does_not_hide_a_later_bug():
    def fail():
        try:
            raise DataError("an old story, answered")
        except DataError:
            raise TypeError("a bug") from None

    assert explain(caught(fail)) is None


def test_what_a_resolver_of_ours_refuses_is_its_own_sentence(compose_config):
    cfg = compose_config("species=pool", "data.pool=al")
    sentence = explain(caught(lambda: cfg.species.slug))
    assert sentence.startswith("species=al is not a species") and "full_key" not in sentence
