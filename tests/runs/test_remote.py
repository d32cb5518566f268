"""Recordings at an address train the same network as the same recordings in a folder."""

import json

import pytest


@pytest.mark.slow
def test_a_run_on_recordings_at_an_address_is_the_run_on_the_folder(train_in_process, cache, tmp_path):
    reports = []
    for name, overrides in (("folder", []), ("address", ["data=auto", f"data.root=file://{cache}/demo"])):
        run_dir = train_in_process(tmp_path / name, "species=koolmees", "trainer.max_epochs=1", *overrides)
        reports.append(json.loads((run_dir / "metrics.json").read_text()))
    folder, address = reports
    assert address["synthetic"] and address["data_fingerprint"] == folder["data_fingerprint"]
    assert address["results"] == folder["results"]
    assert list((cache / "remote").glob("*/xeno-canto-koolmees/song/*.mp3"))
