"""How long `birdnet-nl compare` takes over 700 finished runs, which are made up in a temporary folder.

python benchmarks/compare_700.py [folder to keep the runs and the page in]
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from itertools import islice, product
from pathlib import Path

from birdnet_nl.species.table import all_species

ROOT = Path(__file__).resolve().parents[1]
RUNS = 700
SETS = {"legacy": (0.70, 200.0), "fast": (0.68, 140.0), "turbo": (0.74, 90.0)}  # share right, seconds of training


def make_runs(logs: Path) -> None:
    """Every species with three sets, then the first species again with another seed, as in a sweep's folders."""
    spec = importlib.util.spec_from_file_location("run_factory", ROOT / "tests" / "evaluation" / "run_factory.py")
    factory = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(factory)
    jobs = islice(product((1, 2), enumerate(all_species()), SETS), RUNS)
    for number, (seed, (index, species), name) in enumerate(jobs):
        right, train_s = SETS[name]
        factory.make_run(
            logs / "sweep-made-up" / name / species.slug / str(number), name, species.slug, seed,
            right=right - 0.1 * (index % 5 - 2) / 2, train_s=train_s * (0.8 + 0.1 * (index % 7)), epochs=25,
        )  # fmt: skip


def timed(*options: str) -> float:
    started = time.perf_counter()
    words = [sys.executable, "-m", "birdnet_nl.cli", "compare", *options]
    subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(temporary)
        make_runs(folder / "logs")
        print(f"tables of {RUNS} runs: {timed(str(folder / 'logs')):.1f} s")
        page = folder / "compare.html"
        files = [f"--{name}={folder / 'compare'}.{name}" for name in ("html", "markdown", "csv", "json")]
        print(f"tables, page, Markdown, CSV and JSON: {timed(str(folder / 'logs'), *files):.1f} s")
        print(f"size of the page: {page.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
