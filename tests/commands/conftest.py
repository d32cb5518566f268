"""Calls of `birdnet-nl` in process, a parser of its pages, and the server and sound of the tests of recordings."""

import importlib.util
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from birdnet_nl.cli import app

_path = Path(__file__).parents[1] / "recordings" / "conftest.py"
_spec = importlib.util.spec_from_file_location("recordings_conftest", _path)
_recordings = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_recordings)
mp3_bytes, server = _recordings.mp3_bytes, _recordings.server


@pytest.fixture(scope="session")
def cli():
    """Runs a command in a wide terminal; unforeseen errors are raised."""

    def run(*words, **env):
        values = {"COLUMNS": "180", **{name: str(value) for name, value in env.items()}}
        result = CliRunner().invoke(app, [str(word) for word in words], env=values)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture(scope="session")
def refuses(cli):
    """Checks that a command fails with one sentence that holds `text`."""

    def check(text, *words, **env):
        result = cli(*words, **env)
        assert result.exit_code == 1 and text in result.output, result.output
        assert len(result.output.strip().splitlines()) == 1

    return check


class Page(HTMLParser):
    """Elements of a page that are open at its end, fetched addresses, links, and the text of inline styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.fetched, self.links, self.tags, self.paths, self.style = [], [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        name = f"{tag}.{values['class']}" if values.get("class") else tag
        self.paths.append((*self.open, name))
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(name)
        self.fetched += [values[name] for name in ("src", "data", "poster", "srcset") if name in values]
        self.fetched += [values["href"]] if tag not in ("a", "use") and "href" in values else []
        self.links += [values["href"]] if tag == "a" else []

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1].partition(".")[0] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop().partition(".")[0] == tag

    def handle_data(self, data):
        if self.open[-1:] == ["style"]:
            self.style += data


@pytest.fixture(scope="session")
def read_page():
    """Parses a page and checks that it is well-formed and needs no other file."""

    def read(path: Path) -> tuple[str, Page]:
        text = path.read_text(encoding="utf-8")
        page = Page(text)
        assert page.open == []
        assert all(address.startswith("data:") for address in page.fetched)
        assert "@import" not in page.style and "url(" not in page.style and "color-scheme: light dark" in page.style
        return text, page

    return read
