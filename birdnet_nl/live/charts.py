"""Geometry of stacked bar charts; the template draws them as SVG with classes, since inline styles are not allowed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720.0, 150.0
GAP = 0.18  # of the width of a bar


@dataclass(frozen=True)
class Bar:
    """Part of a bar: the type, its box in the units of the drawing, and the number that it shows."""

    type: str
    index: int
    x: float
    y: float
    width: float
    height: float
    count: int


@dataclass(frozen=True)
class Chart:
    """Stacked bars, the highest total and the lines of the grid (height in the drawing, number)."""

    bars: list[Bar]
    highest: int
    lines: list[tuple[float, int]]
    step: float


def bars(counts: Mapping[str, Sequence[int]]) -> Chart:
    """Lay out counts by type (each a sequence over hours or weeks) as stacked bars."""
    columns = max((len(values) for values in counts.values()), default=1)
    totals = [sum(values[column] for values in counts.values()) for column in range(columns)] if counts else [0]
    top = _round_up(max(totals))
    step, drawn = WIDTH / columns, []
    for column in range(columns):
        y = HEIGHT
        for name, values in counts.items():
            height = HEIGHT * values[column] / top
            y -= height
            if values[column]:
                x = column * step + step * GAP / 2
                drawn.append(
                    Bar(
                        name,
                        column,
                        round(x, 1),
                        round(y, 1),
                        round(step * (1 - GAP), 1),
                        round(height, 1),
                        values[column],
                    )
                )
    lines = [(round(HEIGHT * (1 - part), 1), round(top * part)) for part in (0.5, 1.0)]
    return Chart(drawn, max(totals), lines, step)


def _round_up(count: int) -> int:
    """Return the next number of 2, 4, 10, 20, 40, 100, …, for the top of the axis."""
    top = 2
    while top < count:
        top = top * 2 if str(top)[0] != "4" else top * 5 // 2
    return top
