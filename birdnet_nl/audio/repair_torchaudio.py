"""Repair of torchaudio beside a CPU-only torch: `python -m birdnet_nl.audio.repair_torchaudio`.

The torchaudio wheel links its compiled part against CUDA. Beside a CPU-only torch, `import torchaudio` then raises
OSError, although the functions used here are pure Python. Without its `lib/*.so` torchaudio imports and works, so these
files are moved to `lib/unused/`. A torchaudio that can be imported, as beside a CUDA build of torch, is not changed.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path


def torchaudio_error() -> str | None:
    """Return the last line printed by `import torchaudio` in a fresh interpreter, or None when it works."""
    process = subprocess.run([sys.executable, "-c", "import torchaudio"], capture_output=True, text=True, check=False)
    if process.returncode == 0:
        return None
    return (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]


def main() -> int:
    if torchaudio_error() is None:
        print("torchaudio imports: nothing to do")
        return 0
    spec = importlib.util.find_spec("torchaudio")
    if spec is None or spec.origin is None:
        print("torchaudio is not installed; run: pip install torchaudio", file=sys.stderr)
        return 1
    library = Path(spec.origin).parent / "lib"
    parts = sorted(library.glob("*.so"))
    (library / "unused").mkdir(parents=True, exist_ok=True)
    for part in parts:
        part.replace(library / "unused" / part.name)
    error = torchaudio_error()
    if error is not None:
        print(f"torchaudio still does not import: {error}", file=sys.stderr)
        return 1
    print(f"torchaudio repaired: {len(parts)} compiled files that need CUDA moved to torchaudio/lib/unused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
