"""What a search found is a parameter set like any other: it composes, and holds the values to the last digit."""

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from hydra_plugins.birdnet_nl_search.parameter_set import parameter_set_of

VALUES = {"optimizer.lr": 0.0012345678901234567, "data.batch_size": 64, "loss.label_smoothing": 0.07, "mel": "wide"}


def test_values_are_nested_and_options_override():
    text = parameter_set_of(VALUES, "turbo", {"mel", "trainer"}, 0.8125, 40)
    assert text.startswith("# @package _global_\n# Found by a search of 40 trials: validation 81.2% per recording.\n")
    assert yaml.safe_load(text) == {
        "defaults": ["turbo", "_self_", {"override /mel": "wide"}],
        "optimizer": {"lr": 0.0012345678901234567},
        "data": {"batch_size": 64},
        "loss": {"label_smoothing": 0.07},
    }


def test_the_file_composes_from_the_folder_of_the_search(train_script, tmp_path):
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer/turbo_searched.yaml").write_text(parameter_set_of(VALUES, "turbo", {"mel"}, 0.8, 40))
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(train_script.CONFIG_DIR), version_base="1.3"):
        cfg = compose("train", ["species=koolmees", "trainer=turbo_searched", f"hydra.searchpath=[file://{tmp_path}]"])
    assert (cfg.optimizer.lr, cfg.data.batch_size, cfg.loss.label_smoothing) == (0.0012345678901234567, 64, 0.07)
    assert cfg.mel.n_mels == 128 and cfg.trainer.max_epochs == 12 and cfg.model._target_.endswith("CompactCnn")
