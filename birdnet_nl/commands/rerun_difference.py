"""What differs between the reports of a run and of its repetition."""

from collections.abc import Iterator, Mapping
from typing import Any

FIGURES = ("validation", "epochs", "best_epoch", "results", "calibration", "decision", "controls")
CIRCUMSTANCES = ("birdnet_nl", "versions", "git_commit", "data_fingerprint", "test_fingerprint", "machine", "engine")
ABSENT = "absent"

Difference = tuple[str, Any, Any]  # name such as results/recording/macro_f1, before, now


def differing_figures(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[Difference], int]:
    """Figures of training and test that are not exactly the same, and how many were compared; not seconds or memory."""
    return _differing(before, now, FIGURES)


def circumstances(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """What else differs and may be the reason; an entry that an older run lacks does not count."""
    return [found for found in _differing(before, now, CIRCUMSTANCES)[0] if ABSENT not in found[1:]]


def _differing(
    before: Mapping[str, Any], now: Mapping[str, Any], keys: tuple[str, ...]
) -> tuple[list[Difference], int]:
    old, new = (dict(leaf for key in keys for leaf in _leaves(key, report.get(key))) for report in (before, now))
    names = list(dict.fromkeys([*old, *new]))
    rows = [(name, old.get(name, ABSENT), new.get(name, ABSENT)) for name in names]
    return [row for row in rows if row[1] != row[2]], len(names)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Single values with their path, as `results/recording/confusion/0/1`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{name}/{key}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(f"{name}/{index}", inner)
    elif value is not None:
        yield name, value
