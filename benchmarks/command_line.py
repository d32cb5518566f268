"""`python -m benchmarks.<part>`: times one part, prints its table and writes its figures where asked."""

import json
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

from rich.console import Console


def run_part(name: str) -> None:
    """A part has `measure(quick, …)`, `table(result)`, and `arguments(parser)` for the other arguments of `measure`."""
    part = import_module(f"benchmarks.{name}")
    parser = ArgumentParser(prog=f"python -m benchmarks.{name}", description=part.__doc__)
    parser.add_argument("--quick", action="store_true", help="only try it out: the figures say little")
    parser.add_argument("--json", type=Path, help="write the figures here")
    part.arguments(parser)
    asked = vars(parser.parse_args())
    file = asked.pop("json")
    result = part.measure(**asked)
    Console().print(part.table(result))
    if file:
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
