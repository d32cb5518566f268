"""CPU time that a species table of 12,000 rows adds to `train.py`: its help, TAB completion and the start of a run.

Each command runs with the built-in table and with the large one, in turns, in processes of their own. CPU time, of
the process and its children, depends less on other work than the time that passes; the difference is the median over
the pairs. Run it with `python -m benchmarks.species_table`.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

TRAIN = Path(__file__).resolve().parents[1] / "train.py"
MAX_MS = 50.0
VOWELS, CONSONANTS = "aeiou", "bcdfglmnprst"


def write_large_table(path: Path, rows: int = 12_000) -> None:
    """Write a table of species with invented names in four languages; two of three have a slug of their own."""
    syllables = [consonant + vowel for consonant in CONSONANTS for vowel in VOWELS]
    names = itertools.product(syllables, repeat=3)
    with path.open("w", encoding="utf-8") as file:
        file.write("slug,scientific,dutch,english,german,priority\n")
        for number, parts in enumerate(itertools.islice(names, rows)):
            word = "".join(parts)
            slug = f"{word}_bird" if number % 3 else ""
            file.write(
                f"{slug},{word.capitalize()}us {word}ensis,{word} vogel,{word} bird,{word} Vögel,{number % 3 + 1}\n"
            )


def commands(species: str) -> dict[str, list[str]]:
    """Arguments of `train.py` by name, without the table."""
    return {
        "help": ["--help"],
        "completion": ["-sc", "query=bash"],
        "start of a run": [f"species={species}", "--cfg", "job"],
    }


def cpu_ms(arguments: list[str], table: Path | None, word: str) -> float:
    """Run `train.py` and return its CPU time in milliseconds; `word` is the beginning of a species before TAB."""
    environment = {name: value for name, value in os.environ.items() if name != "BIRDNET_NL_SPECIES_TABLE"}
    line = f"python train.py species={word}"
    environment |= {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    if table is not None:
        environment["BIRDNET_NL_SPECIES_TABLE"] = str(table)
    process = subprocess.Popen(
        [sys.executable, str(TRAIN), *arguments],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=TRAIN.parent,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"train.py {' '.join(arguments)} ended with exit code {process.returncode}")
    return 1000 * (usage.ru_utime + usage.ru_stime)


def measure(pairs: int = 9, rows: int = 12_000, names: tuple[str, ...] = tuple(commands(""))) -> dict[str, dict]:
    """Return, by command, milliseconds with both tables and the median difference of the pairs."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "large.csv"
        write_large_table(table, rows)
        for name in names:
            built_in, large = [], []
            for _ in range(pairs):
                built_in.append(cpu_ms(commands("koolmees")[name], None, "kool"))
                large.append(cpu_ms(commands("bababe_bird")[name], table, "baba"))
            added = [second - first for first, second in zip(built_in, large, strict=True)]
            results[name] = {
                "built_in_ms": median(built_in), "large_ms": median(large), "added_ms": median(added), "pairs": pairs,
            }  # fmt: skip
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.species_table", description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--rows", type=int, default=12_000)
    options = parser.parse_args()
    results = measure(options.pairs, options.rows)
    print(json.dumps(results, indent=1))
    sys.exit(any(result["added_ms"] > MAX_MS for result in results.values()))


if __name__ == "__main__":
    main()
