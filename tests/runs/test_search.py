"""A parameter search from the command line, with real trainings."""

import json

import pytest
import yaml


@pytest.mark.slow
def test_a_search_trains_its_trials_and_writes_the_best_values(train_py, tiny_of, tmp_path):
    pytest.importorskip("optuna")
    tiny = [text for text in tiny_of(tmp_path) if not text.startswith(("model.", "mel.hop"))]
    code, screen = train_py(
        "-m", "species=koolmees", "sweeper=optuna", "trainer=turbo", "hydra.sweeper.trials=2", *tiny,
        "data.crops.per_epoch=192", "engine.threads=1", f"hydra.sweep.dir={tmp_path / 'search'}",
    )  # fmt: skip
    assert code == 0, screen
    reports = {
        int(path.parent.name.partition("-")[0]): json.loads(path.read_text())
        for path in (tmp_path / "search").rglob("metrics.json")
    }
    assert set(reports) == {0, 1}
    scores = {number: report["validation"]["recording_balanced_accuracy"] for number, report in reports.items()}
    best = max(scores, key=scores.get)
    parameter_set = yaml.safe_load((tmp_path / "search/conf/trainer/turbo_searched.yaml").read_text())
    if scores[0] != scores[1]:
        assert parameter_set["optimizer"]["lr"] == reports[best]["parameters"]["learning_rate"]
    assert "best of 2 trials" in screen and "Warning" not in screen
