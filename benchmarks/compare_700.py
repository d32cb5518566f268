"""Duration of `birdnet-nl compare` on 700 finished runs, which are made up."""

import argparse
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
SETS = {"legacy": (0.70, 200.0), "fast": (0.68, 140.0), "turbo": (0.74, 90.0)}  # accuracy, seconds of training


def make_runs(logs: Path) -> None:
    """Write runs of all species with three parameter sets, then with another seed, in the folders of a sweep."""
    spec = importlib.util.spec_from_file_location("run_factory", ROOT / "tests" / "evaluation" / "run_factory.py")
    factory = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(factory)
    jobs = islice(product((1, 2), enumerate(all_species()), SETS), RUNS)
    for number, (seed, (index, species), name) in enumerate(jobs):
        accuracy, train_s = SETS[name]
        factory.make_run(
            logs / "sweep-made-up" / name / species.slug / str(number), name, species.slug, seed,
            right=accuracy - 0.1 * (index % 5 - 2) / 2, train_s=train_s * (0.8 + 0.1 * (index % 7)), epochs=25,
        )  # fmt: skip


def time_compare(*options: str) -> float:
    """Run `birdnet-nl compare` and return its seconds."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "birdnet_nl.cli", "compare", *options]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_700", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="keep the runs and the page in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder.resolve() if options.folder else Path(temporary)
        make_runs(folder / "logs")
        print(f"tables of {RUNS} runs: {time_compare(str(folder / 'logs')):.1f} s")
        page = folder / "compare.html"
        files = [f"--{name}={folder / 'compare'}.{name}" for name in ("html", "markdown", "csv", "json")]
        print(f"tables, page, Markdown, CSV and JSON: {time_compare(str(folder / 'logs'), *files):.1f} s")
        print(f"size of the page: {page.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
