"""Benchmarks of preparing many recordings at a size that takes seconds."""

import json

import numpy as np
import pytest

from benchmarks import near_duplicates, preparation


@pytest.mark.slow
def test_recordings_are_prepared_twice_and_the_planted_pairs_are_found(tmp_path, print_table, in_this_process):
    result = preparation.measure(counts=(90,), folder=str(tmp_path), before=str(preparation.processes.ROOT))
    (row,) = result["rows"]
    for side in ("before", "after"):
        first, again = row[side]
        assert first["planted"] == first["found"] == 4 and first["others"] == 0
        assert first["fingerprint"] == again["fingerprint"]
        assert again["seconds"] < first["seconds"] and again["crops_of"] > 30
    shown = print_table(preparation.table(result))
    assert "after" in shown and "4 of 4" in shown


def test_found_pairs_are_compared_with_the_planted_ones(tmp_path):
    planted = tmp_path / "planted.json"
    planted.write_text(json.dumps([["XC1", "XC2"], ["XC3", "XC4"]]))
    assert preparation.recall([["XC2", "XC1"], ["XC5", "XC6"]], planted) == {"planted": 2, "found": 1, "others": 1}


@pytest.mark.parametrize("change", near_duplicates.CHANGES)
def test_every_change_leaves_most_of_the_sound(change):
    samples = np.random.default_rng(0).normal(0, 0.1, 8 * 32000).astype(np.float32)
    changed = near_duplicates.change_samples(np.random.default_rng(1), samples, 32000, change)
    assert changed.dtype == np.float32 and changed.ndim == 1
    assert 2.1 * 32000 <= len(changed) <= len(samples) + 4000 and not np.array_equal(changed, samples)
