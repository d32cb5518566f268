"""Real recordings, where they are available: from mp3 to a tested classifier, or to an error."""

from pathlib import Path

import pytest

from birdnet_nl.util.failure import explain
from tests.runs.conftest import ROOT, read_metrics

RECORDINGS: Path = ROOT.parent / "shared" / "recordings"
pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no real recordings here")


def test_a_species_with_two_sufficient_types_is_trained_and_tested(train_in_process, tmp_path):
    overrides = ["species=ekster", "data=auto", f"data.root={RECORDINGS}", "trainer.max_epochs=1"]
    metrics = read_metrics(train_in_process(tmp_path / "run", *overrides, "evaluation.plots=false"))
    assert metrics["synthetic"] is False
    assert len(metrics["types"]) == 2 and len(metrics["left_out"]["types"]) == 1
    assert all(sum(counts.values()) >= 2 for counts in metrics["counts"]["recordings"].values())


def test_too_few_recordings_are_counted_in_the_error(train_in_process, tmp_path):
    with pytest.raises(Exception) as caught:
        train_in_process(tmp_path / "run", "species=koolmees", "data=auto", f"data.root={RECORDINGS}")
    assert "(song 13, call 2, alarm 2" in explain(caught.value)
