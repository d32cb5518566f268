"""Check of the types in a file that was read: a damaged or foreign file is found before its values are used."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NUMBER = (int, float)


class EachValue:
    """Type of a table of which every value has the type `of`."""

    def __init__(self, of: Any) -> None:
        self.of = of


def wrong_value(value: Any, expected: Any, name: str = "") -> str:
    """Return the name, such as `results.recording`, of the first value of another type; empty where there is none.

    `expected` is a type or several, a table of such by key, a list with the one of each item, or `EachValue`. A missing
    key and None are right everywhere, and keys that are not in the table may have any value.
    """
    if value is None:
        return ""
    if isinstance(expected, EachValue):
        expected = dict.fromkeys(value, expected.of) if isinstance(value, Mapping) else dict
    if isinstance(expected, Mapping):
        items = [(key, value[key], expected[key]) for key in expected if key in value] if _is(value, dict) else None
    elif isinstance(expected, list):
        items = [(index, item, expected[0]) for index, item in enumerate(value)] if _is(value, list) else None
    else:
        return "" if _is(value, expected) else name or "the whole"
    if items is None:
        return name or "the whole"
    names = (wrong_value(item, kind, f"{name}.{key}".lstrip(".")) for key, item, kind in items)
    return next(filter(None, names), "")


def _is(value: Any, expected: Any) -> bool:
    kinds = expected if isinstance(expected, tuple) else (expected,)
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def parse_json(text: str) -> Any:
    """Return the content of a JSON text; numbers that are not finite, or beyond the range of a float, are None."""
    return json.loads(text, parse_constant=lambda name: None, parse_float=_number, parse_int=_number)


def _number(text: str) -> int | float | None:
    number = float(text)
    if not math.isfinite(number):
        return None
    return int(text) if text.removeprefix("-").isdigit() else number


def read_json_table(path: Path) -> dict[str, Any]:
    """Return the table in a JSON file; raises `OSError`, or `ValueError` for a damaged file.

    Numbers that are not finite are None, as in `parse_json`.
    """
    try:
        table = parse_json(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(table, dict):
        raise ValueError("it holds no table")
    return table
