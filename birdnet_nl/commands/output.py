"""Files that the commands write: any text, and HTML pages from Jinja2 templates that need no other file."""

import json
import sys
from pathlib import Path
from typing import Any

import typer

from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import user_path, write_text_atomic


def write_file(path: Path, text: str, option: str) -> Path:
    """Write the file that `option` asked for, and return its path; raises `DataError` when it cannot be written."""
    path = user_path(path)
    try:
        write_text_atomic(path, text)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); give another file with {option}") from None
    return path


def print_json(values: Any, indent: int | None = None) -> None:
    r"""Print strict JSON on standard output; `\u…` for characters that its encoding cannot show.

    Raises `ValueError` for a number that is not finite.
    """
    text = json.dumps(values, ensure_ascii=False, indent=indent, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # also for bytes of a file name that are not UTF-8
        text = json.dumps(values, indent=indent, allow_nan=False)
    typer.echo(text)


def render_page(name: str, **values: Any) -> str:
    """Render `templates/<name>.html.j2`; values are escaped unless a template marks them as safe."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("birdnet_nl.commands"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(f"{name}.html.j2").render(**values)
