"""Repair of torchaudio beside a CPU-only torch, and the error without the repair."""

import subprocess
import sys
from pathlib import Path

import pytest

from birdnet_nl.audio import repair_torchaudio
from birdnet_nl.audio.repair_torchaudio import main

# A package that, like torchaudio, raises OSError as long as its compiled part is in `lib`.
FAKE = """
from pathlib import Path
if list((Path(__file__).parent / "lib").glob("*.so")):
    raise OSError("libc10_cuda.so: cannot open shared object file")
"""


@pytest.fixture
def fake_torchaudio(tmp_path, monkeypatch) -> Path:
    """The folder of a fake `torchaudio` that is first on the path, here and in new interpreters."""
    package = tmp_path / "torchaudio"
    (package / "lib").mkdir(parents=True)
    (package / "__init__.py").write_text(FAKE)
    for name in ("_torchaudio.so", "libtorchaudio.so", "readme.txt"):
        (package / "lib" / name).write_bytes(b"x")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    return package


def test_a_broken_torchaudio_is_repaired_once(fake_torchaudio, capsys):
    assert "libc10_cuda" in repair_torchaudio.torchaudio_error()
    assert main() == 0
    assert "2 compiled files" in capsys.readouterr().out
    assert repair_torchaudio.torchaudio_error() is None
    moved = sorted(path.name for path in (fake_torchaudio / "lib" / "unused").iterdir())
    assert moved == ["_torchaudio.so", "libtorchaudio.so"] and (fake_torchaudio / "lib" / "readme.txt").exists()
    assert main() == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_torchaudio_that_imports_keeps_its_compiled_parts(fake_torchaudio, capsys):
    (fake_torchaudio / "__init__.py").write_text("")
    assert main() == 0
    assert len(list((fake_torchaudio / "lib").glob("*.so"))) == 2
    assert "nothing to do" in capsys.readouterr().out


def test_a_torchaudio_that_stays_broken_is_reported(fake_torchaudio, capsys):
    (fake_torchaudio / "__init__.py").write_text("raise OSError('something else')")
    assert main() == 1
    assert "still does not import: OSError: something else" in capsys.readouterr().err


def test_a_missing_torchaudio_is_reported(monkeypatch, capsys):
    monkeypatch.setattr(repair_torchaudio, "torchaudio_error", lambda: "ModuleNotFoundError")
    monkeypatch.setattr(repair_torchaudio.importlib.util, "find_spec", lambda name: None)
    assert main() == 1
    assert "pip install torchaudio" in capsys.readouterr().err


def test_a_mel_with_a_broken_torchaudio_raises_one_sentence_with_the_remedy(fake_torchaudio):
    code = """
import numpy as np
from birdnet_nl.audio.mel import MelParams, log_mel
from birdnet_nl.util.errors import SetupError
params = MelParams(8000, 256, 128, 16, 200.0, 4000.0, "segment_peak", -80.0, 0.0)
try:
    log_mel(np.zeros(800, dtype=np.float32), params)
except SetupError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    sentence = done.stdout.strip()
    assert "\n" not in sentence
    assert "libc10_cuda.so" in sentence
    assert sentence.endswith("run: python -m birdnet_nl.audio.repair_torchaudio")
