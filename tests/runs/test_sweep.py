"""A sweep: every combination has its run; a failing job is told and does not stop the others."""

import json

import pytest


@pytest.mark.slow
def test_a_sweep_trains_every_combination_on_the_same_recordings(train_py, tiny, tmp_path):
    code, screen = train_py(
        "-m", "species=Koolmees,Turdus merula", "trainer=legacy,fast", *tiny, "trainer.max_epochs=1"
    )
    assert code == 0, screen
    runs = {
        (report["species"]["slug"], report["parameter_set"]): report
        for report in (json.loads(path.read_text()) for path in (tmp_path / "logs").glob("sweep-*/*/*/*/metrics.json"))
    }
    assert set(runs) == {(slug, name) for slug in ("koolmees", "merel") for name in ("legacy", "fast")}
    for slug in ("koolmees", "merel"):
        legacy, fast = runs[slug, "legacy"], runs[slug, "fast"]
        assert legacy["data_fingerprint"] == fast["data_fingerprint"]
        assert (legacy["parameters"]["batch_size"], fast["parameters"]["batch_size"]) == (64, 128)
        assert legacy["synthetic"] and fast["synthetic"]


@pytest.mark.slow
def test_a_failing_job_does_not_stop_the_others(train_py, tiny, tmp_path, make_recordings_folder):
    root = tmp_path / "recordings"
    make_recordings_folder(root, "koolmees", {"song": 6, "call": 6})
    tiny = [override for override in tiny if override != "data=demo"]
    code, screen = train_py(
        "-m", "species=merel,koolmees", "trainer=fast", f"data.root={root}", *tiny, "trainer.max_epochs=1"
    )
    assert code == 1
    assert screen.count("none of merel") == 1, screen
    assert "1 jobs of the sweep failed" in screen
    (metrics,) = (tmp_path / "logs").glob("sweep-*/*/*/*/metrics.json")
    assert json.loads(metrics.read_text())["species"]["slug"] == "koolmees"
