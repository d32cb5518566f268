import pytest
from omegaconf import OmegaConf

from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import (
    CHANGEABLE,
    CONFIG,
    METRICS,
    change_config,
    check_unclaimed,
    claim,
    finish_advice,
    read_config,
    read_finished_config,
    read_json,
    resumable_checkpoint,
    write_config,
    write_json,
)
from tests.nasty_names import NASTY_NAMES

CONFIGURATION = {
    "species": {"slug": "merel"},
    "seed": 1,
    "trainer": {"max_epochs": 4},
    "data": {"split_by": "recording", "num_workers": 0},
    "scheduler": {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau"},
}


@pytest.fixture
def config():
    return OmegaConf.create(CONFIGURATION)


def test_a_run_directory_is_claimed_by_one_run(tmp_path, config):
    run_dir = tmp_path / "run"
    check_unclaimed(run_dir)
    claim(run_dir, config)
    for second in (lambda: claim(run_dir, config), lambda: check_unclaimed(run_dir)):
        with pytest.raises(RunError, match=f"already holds a run; continue it with python train.py resume={run_dir}"):
            second()
    assert read_config(run_dir) == config and resumable_checkpoint(run_dir) is None


@pytest.mark.parametrize("key", ["practice", "teacher", "trunk", "crops_per_epoch"])
def test_a_run_of_version_0_1_can_be_read_but_not_trained(tmp_path, config, key):
    write_config(tmp_path, OmegaConf.merge(config, {key: None}))
    with pytest.raises(RunError, match=r"was started by version 0\.1, .*; start the run again"):
        read_config(tmp_path)
    assert read_finished_config(tmp_path).data.split_by == "recording"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "holds no config.yaml"),
        ("", "is not complete"),
        ("- 1\n", "is not complete"),
        ("seed: 1", "not complete"),
    ],
)
def test_an_unusable_configuration_is_an_error(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / CONFIG).write_text(content)
    for read in (read_config, read_finished_config):
        with pytest.raises(RunError, match=sentence):
            read(tmp_path)
        with pytest.raises(RunError, match="is not a folder; give a run directory"):
            read(tmp_path / "missing")


def test_only_values_that_keep_results_comparable_can_change(tmp_path, config):
    for refused in ("seed=2", "trainer=legacy", "data.batch_size=8", "trainer.max_epoch=9"):
        with pytest.raises(RunError, match=f"{refused} cannot change when a run is resumed; possible: {CHANGEABLE[0]}"):
            change_config(tmp_path, config, [refused])
    assert not (tmp_path / CONFIG).exists()
    change_config(tmp_path, config, ["trainer.max_epochs=9", "data.num_workers=2"])
    changed = read_config(tmp_path)
    assert (changed.trainer.max_epochs, changed.data.num_workers, changed.seed) == (9, 2, 1)


def test_the_length_of_a_one_cycle_schedule_cannot_change(tmp_path, config):
    config.scheduler._target_ = "torch.optim.lr_scheduler.OneCycleLR"
    with pytest.raises(RunError, match="follows one cycle of 4 epochs"):
        change_config(tmp_path, config, ["trainer.max_epochs=9"])


def test_a_finished_run_cannot_change(tmp_path, config):
    (tmp_path / METRICS).write_text("{}")
    assert change_config(tmp_path, config, []) == config
    with pytest.raises(RunError, match=r"is finished, so data\.num_workers=2 changes nothing"):
        change_config(tmp_path, config, ["data.num_workers=2"])


def test_incomplete_json_is_an_error_with_the_remedy(tmp_path):
    (tmp_path / METRICS).write_text('{"half"')
    with pytest.raises(RunError, match=r"is not complete JSON; delete it, then it cannot be continued"):
        read_json(tmp_path / METRICS)
    (tmp_path / CONFIG).write_text("species: {slug: merel}")
    with pytest.raises(
        RunError, match=r"is not complete JSON; delete it, then continue it with python train\.py resume="
    ):
        read_json(tmp_path / METRICS)


def test_the_advice_for_an_unfinished_run_agrees_with_what_resume_accepts(tmp_path, config):
    assert "holds no config.yaml" in finish_advice(tmp_path)
    write_config(tmp_path, OmegaConf.merge(config, {"trunk": None}))
    assert finish_advice(tmp_path).startswith("it cannot be continued (") and "version 0.1" in finish_advice(tmp_path)
    write_config(tmp_path, config)
    assert finish_advice(tmp_path) == f"continue it with python train.py resume={tmp_path}"


@pytest.mark.parametrize("name", NASTY_NAMES, ids=ascii)
def test_folders_of_a_moved_run_can_change(tmp_path, config, name):
    data = {"root": "/nas", "cache_dir": "cache", "demo": {"folder": "cache/demo_small"}}
    config = OmegaConf.merge(config, {"data": data, "paths": {"cache": "cache", "logs": "logs"}})
    change_config(tmp_path, config, [f"data.root=/new/{name}", f"paths.cache=/other/{name}"])
    changed = read_config(tmp_path)
    assert changed.data.root == f"/new/{name}"
    assert changed.paths.cache == changed.data.cache_dir == f"/other/{name}"
    assert changed.data.demo.folder == f"/other/{name}/demo_small"
    change_config(tmp_path, changed, ["data.root=null"])
    assert read_config(tmp_path).data.root is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_of_a_run_is_strict(tmp_path, value):
    write_json(tmp_path / "metrics.json", {"results": None})
    content = {"results": {"recording": [{"auroc": 0.5}, {"auroc": value}]}}
    with pytest.raises(RunError, match=r"metrics\.json is not written: results\.recording\.1\.auroc is not a finite"):
        write_json(tmp_path / "metrics.json", content)
    assert read_json(tmp_path / "metrics.json") == {"results": None}
    (tmp_path / "metrics.json").write_text('{"loss": NaN}')  # of version 0.1
    assert read_json(tmp_path / "metrics.json") == {"loss": None}


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe\x00", b"a: b: c"])
def test_a_damaged_configuration_is_one_sentence(tmp_path, content):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(RunError, match=r"config\.yaml cannot be read as the configuration of a run"):
        read_finished_config(tmp_path)


def test_a_run_directory_whose_name_is_not_utf8_is_refused_before_the_training(tmp_path):
    with pytest.raises(RunError, match=r"w\\xe9ird/run has a name that is not in UTF-8"):
        claim(tmp_path / "w\udce9ird" / "run", OmegaConf.create({}))
