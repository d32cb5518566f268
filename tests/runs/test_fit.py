"""Values that do not fit together are refused before a run begins; parts of other options are left out."""

import pytest

from birdnet_nl.runs.fit import build_trainer, check_values, fit
from birdnet_nl.training.averaging import RunningWeightAverage
from birdnet_nl.training.engine import EngineState
from birdnet_nl.util.errors import RunError


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["embeddings=birdnet"], "^embeddings= and the rest of the parameter set do not fit together"),
        (["trainer=birdnet", "embeddings=none"], "^embeddings= and the rest of the parameter set do not fit together"),
        (["optimizer.lr=0"], r"^optimizer\.lr=0 must be a number above 0"),
        (["trainer.max_epochs=2.5"], r"^trainer\.max_epochs=2\.5 must be a whole number"),
        (["seed=-1"], "^seed=-1 must be a whole number, at least 0"),
    ],
)
def test_wrong_values_are_one_sentence(compose_config, overrides, message):
    with pytest.raises(ValueError, match=message):
        check_values(compose_config("species=koolmees", *overrides))


@pytest.mark.parametrize(
    "trainer", ["legacy", "turbo", "birdnet", "birdnet_svm", "birdnet_combined", "distilled", "frozen", "head"]
)
def test_every_parameter_set_passes_the_check(compose_config, trainer):
    check_values(compose_config("species=koolmees", f"trainer={trainer}"))


def test_a_value_of_the_parameter_set_for_a_callback_that_is_not_chosen_is_left_out(compose_config, tmp_path):
    cfg = compose_config("species=koolmees", "trainer=fast", "callbacks=averaged", "logger=csv")
    trainer = build_trainer(cfg, tmp_path, EngineState(1, 1, 1, "fp32", False, False, False, "cpu"))
    assert any(isinstance(callback, RunningWeightAverage) for callback in trainer.callbacks)
    assert not trainer.early_stopping_callbacks


@pytest.mark.parametrize("content", ["[]", "{}", '{"history": []}', '{"history": 3}'])
def test_a_damaged_list_of_epochs_is_one_sentence(tmp_path, content):
    (tmp_path / "trained.json").write_text(content)
    with pytest.raises(RunError, match=r"trained\.json holds no epochs of a training; delete it and resume again"):
        fit(None, None, None, tmp_path, resume=True)
