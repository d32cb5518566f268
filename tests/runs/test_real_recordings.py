"""Real recordings, where they are at hand: from mp3 to a tested classifier, or to a sentence that says why not."""

import json
from pathlib import Path

import pytest

from birdnet_nl.util.failure import explain

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "recordings"
pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no real recordings here")


def test_a_species_with_two_sufficient_types_is_trained_and_tested(train_in_process, tmp_path):
    overrides = ["species=ekster", "data=auto", f"data.root={RECORDINGS}", "trainer.max_epochs=1"]
    metrics = json.loads((train_in_process(tmp_path / "run", *overrides) / "metrics.json").read_text())
    assert metrics["synthetic"] is False
    assert len(metrics["types"]) == 2 and len(metrics["left_out"]["types"]) == 1
    assert all(sum(counts.values()) >= 2 for counts in metrics["counts"]["recordings"].values())


def test_a_species_with_too_few_says_how_many_there_are(train_in_process, tmp_path):
    with pytest.raises(Exception) as caught:
        train_in_process(tmp_path / "run", "species=koolmees", "data=auto", f"data.root={RECORDINGS}")
    assert "(song 13, call 2, alarm 2" in explain(caught.value)
