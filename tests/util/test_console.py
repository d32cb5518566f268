"""Output on terminals that cannot show every character."""

import io
import sys

import pytest

from birdnet_nl.util.console import display_path, output_console, prepare_streams
from tests.nasty_names import NASTY_NAMES


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
def test_characters_that_the_terminal_lacks_are_replaced(monkeypatch, encoding):
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding=encoding, errors="strict"))
    monkeypatch.setattr(sys, "stderr", None)
    prepare_streams()
    sys.stdout.write("✓ Vögel → 75.0% [60–85] … e\u0301 鳥 t\udce9")
    sys.stdout.flush()
    text = output.getvalue().decode(encoding)
    expected = {
        "ascii": "+ Vogel -> 75.0% [60-85] ... e ? t\\xe9",
        "latin-1": "+ Vögel -> 75.0% [60-85] ... e ? t\\xe9",
        "cp1252": "+ Vögel -> 75.0% [60–85] … e ? t\\xe9",
        "utf-8": "✓ Vögel → 75.0% [60–85] … e\u0301 鳥 t\\xe9",
    }
    assert text == expected[encoding]


@pytest.mark.parametrize("name", NASTY_NAMES, ids=ascii)
def test_a_path_is_printed_as_it_is(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    output = io.StringIO()
    out = output_console()
    out.file, out.width = output, 200
    out.print(f"[bold]{display_path(tmp_path / name)}[/] end", soft_wrap=True)
    assert output.getvalue() == f"{name} end\n"
