"""The page of predictions shows every recording, escapes names, and works in a browser without a network."""

import re
import shutil
import subprocess
import weakref
from datetime import datetime

import numpy as np
import pytest
import soundfile

from birdnet_nl.commands.predict_page import (
    EXCERPTS,
    MANY_EXCERPT_S,
    predict_page,
    read_excerpts,
)
from birdnet_nl.commands.predict_page_totals import PageRecording
from birdnet_nl.data.training_rules import read_type_set

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RATE_HZ = 16_000


def recording(folder, name="XC1.wav", duration_s=6.0, seed=0, threshold=0.5, **values):
    rng = np.random.default_rng(seed)
    time = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    soundfile.write(folder / name, 0.3 * np.sin(2 * np.pi * 3000 * time) * (time % 1 < 0.3), RATE_HZ)
    starts_s = np.arange(0, max(duration_s - 3, 0) + 0.1, 1.5)
    probabilities = rng.dirichlet([1, 1, 1], len(starts_s)).astype(np.float32)
    defaults = {
        "path": folder / name,
        "species": "Koolmees",
        "types": ("song", "call", "alarm"),
        "starts_s": starts_s,
        "ends_s": starts_s + 3,
        "probabilities": probabilities,
        "recording": probabilities.mean(axis=0),
        "silent": np.zeros(len(starts_s), dtype=bool),
        "duration_s": duration_s,
        "threshold": threshold,
        "model": "koolmees 2026Q4",
    }
    return PageRecording(**(defaults | values))


def test_every_recording_has_spectrogram_lane_curves_and_player(tmp_path):
    page = predict_page([recording(tmp_path, f"XC{number}.wav", seed=number) for number in range(3)])
    assert page.count("<section") == page.count('class="lane"') == page.count("<audio") == 3
    assert page.count("<polyline") == 9
    assert "http" not in re.sub(r"data:[^\"]*", "", page).replace("http://www.w3.org", "")


def test_names_and_warnings_are_escaped(tmp_path):
    name = "<img src=x onerror=alert(1)>.wav"
    page = predict_page(
        [recording(tmp_path, name, species="</script><b>", warning="<i>cut</i>")], failed=[("<b>.wav", "<u>empty</u>")]
    )
    assert name not in page and "<i>cut" not in page and "</script><b>" not in page and "<u>" not in page


def test_a_long_recording_is_shown_by_its_most_confident_excerpts(tmp_path):
    long = recording(tmp_path, duration_s=200.0)
    long.probabilities[:] = 1 / 3
    long.probabilities[50] = [0.9, 0.05, 0.05]  # 75 to 78 s
    page = predict_page([long])
    starts_s = [float(text) for text in re.findall(r'data-start="([\d.]+)"', page)]
    assert len(starts_s) == EXCERPTS
    assert any(start_s <= 75 and start_s + MANY_EXCERPT_S >= 78 for start_s in starts_s)


def test_excerpts_are_the_samples_of_their_time(tmp_path):
    item = recording(tmp_path, duration_s=30.0)
    samples, rate_hz = soundfile.read(item.path, dtype="float32")
    (first, _), (second, _) = read_excerpts(item.path, [(2.0, 5.0), (4.0, 14.0)])
    assert rate_hz == RATE_HZ
    assert np.array_equal(first, samples[2 * rate_hz : 5 * rate_hz])
    assert np.array_equal(second, samples[4 * rate_hz : 14 * rate_hz])


def test_totals_count_certain_segments_by_type_and_hour(tmp_path):
    certain = recording(tmp_path, recorded_at=datetime(2026, 5, 1, 4, 59, 58))
    certain.probabilities[:] = [0.9, 0.05, 0.05]
    page = predict_page([certain])
    row = re.search(r"<tr><td>Koolmees</td>(.*?)</tr>", page)[1]
    assert re.findall(r"<td>(\d*)</td>", row) == ["1", "3", "", "", ""]
    assert "4:00 song 2 " in page and "5:00 song 1 " in page  # starts at 4:59:58, :59.5 and 5:00:01


def test_a_recording_that_was_removed_keeps_its_predictions(tmp_path):
    item = recording(tmp_path)
    item.path.unlink()
    page = predict_page([item])
    assert "XC1.wav" in page and page.count("<audio") == 0 and '[[0, 0.0, 3.0, "' in page


def test_recordings_are_read_once_and_only_those_that_are_shown_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("birdnet_nl.commands.predict_page.MAX_RECORDINGS", 2)
    monkeypatch.setattr("birdnet_nl.commands.predict_page_totals.MAX_ROWS", 4)
    kept = []

    def recordings():
        for number in range(30):
            item = recording(tmp_path, f"XC{number}.wav", seed=number, species="ab"[number % 2])
            item.probabilities[:] = [0.9, 0.05, 0.05]
            kept.append(weakref.ref(item.probabilities))
            yield item
            del item
            assert sum(reference() is not None for reference in kept) <= 4

    page = predict_page(recordings())
    assert page.count("<section") == 2 and "28 further recordings" in page
    assert [re.findall(r"<td>(\d*)</td>", row) for row in re.findall(r"<tr><td>[ab]</td>(.*?)</tr>", page)] == [
        ["15", "45", "", "", ""]
    ] * 2
    assert "XC1.wav" in page and "XC2.wav" not in page


def test_predictions_of_a_model_of_the_demo_are_marked(tmp_path):
    assert "SYNTHETIC" in predict_page([recording(tmp_path, synthetic=True)])
    assert "SYNTHETIC" not in predict_page([recording(tmp_path)])


def test_without_a_threshold_every_prediction_is_uncertain(tmp_path):
    page = predict_page([recording(tmp_path, threshold=None)], language="nl")
    assert "onzeker" in page and 'badge uncertain"' in page


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.slow
def test_the_table_sorts_and_filters_in_a_browser(tmp_path):
    sounds = [recording(tmp_path, f"XC{number}.wav", seed=number) for number in range(4)]
    page = predict_page(sounds)
    check = """<script>
      byId("search").value = "xc2"; byId("search").dispatchEvent(new Event("input"));
      document.querySelector("th[data-key=confidence]").click();
      document.title = [...document.querySelectorAll("#segments tbody tr")].map(row =>
        row.cells[1].textContent + " " + parseInt(row.cells[5].textContent)).join(",");
    </script></body>"""
    file = tmp_path / "page.html"
    file.write_text(page.replace("</body>", check), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [CHROMIUM, *options, "--virtual-time-budget=3000", "--dump-dom", file.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    rows = [text.split() for text in re.search(r"<title>(.*?)</title>", done.stdout)[1].split(",")]
    assert len(rows) == len(sounds[2].starts_s) and all(name == "XC2.wav" for name, _ in rows)
    confidences = [int(value) for _, value in rows]
    assert confidences == sorted(confidences)
    screenshot = tmp_path / "page.png"
    subprocess.run(
        [CHROMIUM, *options, "--window-size=1200,1600", f"--screenshot={screenshot}", file.as_uri()],
        capture_output=True, timeout=120,
    )  # fmt: skip
    assert screenshot.stat().st_size > 20_000  # not an empty page


def test_ten_types_have_ten_colours_and_dutch_words(tmp_path):
    types = read_type_set("ten").types
    probabilities = np.random.default_rng(1).dirichlet(np.ones(10), 3).astype(np.float32)
    values = {"types": types, "probabilities": probabilities, "recording": probabilities.mean(axis=0)}
    page = predict_page([recording(tmp_path, **values)], language="nl")
    legend = re.search(r'<p class="legend">(.*?)</p>', page)[1]
    assert len(set(re.findall(r"background:([^\"]+)\"", legend))) == 10
    assert "roffel" in legend and "nachtelijke vluchtroep" in legend and "flight_call" not in legend
    assert page.count("<polyline") == 10
