"""Screenshots of TensorBoard on a folder of runs, to look at its pages.

python tests/browser/tensorboard_screens.py logs --out screens      needs chromium; does nothing without it
"""

import argparse
import asyncio
import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp  # comes with lightning

TABS = ("timeseries", "scalars", "images", "hparams", "text", "audio", "projector")
DEADLINE_S = 60
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1500,1100",
)  # fmt: skip
ALL_TEXT = """(() => {
  const walk = node => [...node.childNodes].map(child => child.nodeType === 3 ? child.data :
    ['STYLE', 'SCRIPT'].includes(child.nodeName) ? '' : walk(child) + (child.shadowRoot ? walk(child.shadowRoot) : ''))
    .join(' ');
  return walk(document.body);
})()"""


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@contextmanager
def tensorboard(logs: Path) -> Iterator[tuple[str, list[str]]]:
    """Start a TensorBoard on loopback and give its address and runs; it is stopped at the end."""
    options = ["--logdir", str(logs), "--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
    with tempfile.TemporaryFile("w+") as output:
        command = [sys.executable, "-m", "tensorboard.main", *options]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            address = _poll(lambda: _address(output), "TensorBoard's address")
            yield address, _poll(lambda: _get(f"{address}data/runs"), "runs in TensorBoard")
        finally:
            process.terminate()
            process.wait()


def _address(output) -> str | None:
    output.seek(0)
    addresses = [word for word in output.read().split() if word.startswith("http://")]
    return addresses[0].rstrip("/") + "/" if addresses else None


def _get(url: str) -> list[str]:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def _poll(read, name: str):
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if value := read():
            return value
        time.sleep(0.3)
    raise TimeoutError(f"{name} did not appear within {DEADLINE_S} s")


class Page:
    """One page of a browser, controlled by Chrome's DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.number = socket, 0

    async def call(self, method: str, **parameters) -> dict:
        self.number += 1
        await self.socket.send_json({"id": self.number, "method": method, "params": parameters})
        while True:
            message = await self.socket.receive_json(timeout=DEADLINE_S)
            if message.get("id") == self.number:
                return message.get("result") or {}

    async def text(self) -> str:
        response = await self.call("Runtime.evaluate", expression=ALL_TEXT)
        return response.get("result", {}).get("value") or ""

    async def stable_text(self) -> str:
        """Return all text of the page once it has not changed for two seconds."""
        before, since = "", time.monotonic()
        end = since + DEADLINE_S / 2
        while time.monotonic() < end:
            now = await self.text()
            if now != before:
                before, since = now, time.monotonic()
            elif len(now) > 100 and time.monotonic() - since > 2:
                break
            await asyncio.sleep(0.3)
        return before


async def take_screens(browser: str, address: str, out: Path) -> dict[str, str]:
    """Write `<tab>.png` for each tab into `out`, and return the text of each."""
    texts = {}
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *QUIET, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port_file = Path(profile) / "DevToolsActivePort"
            port = _poll(lambda: port_file.is_file() and port_file.read_text().split("\n")[0], "the browser's port")
            pages = _poll(lambda: _get(f"http://127.0.0.1:{port}/json/list"), "a page in the browser")
            async with aiohttp.ClientSession() as session:
                url = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    page = Page(socket)
                    for tab in TABS:
                        await page.call("Page.navigate", url="about:blank")  # another fragment alone loads nothing
                        await page.call("Page.navigate", url=f"{address}#{tab}")
                        texts[tab] = await page.stable_text()
                        picture = await page.call("Page.captureScreenshot", format="png")
                        (out / f"{tab}.png").write_bytes(base64.b64decode(picture["data"]))
        finally:
            process.terminate()
            process.wait()
    return texts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", type=Path, nargs="?", default=Path("logs"))
    parser.add_argument("--out", type=Path, default=Path("build/tensorboard"))
    arguments = parser.parse_args()
    browser = find_browser()
    if browser is None:
        print("skipped: chromium is not installed")
        return 0
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tensorboard(arguments.logs) as (address, runs):
        print(f"{len(runs)} runs: {', '.join(runs[:5])}{' …' * (len(runs) > 5)}")
        for tab, text in asyncio.run(take_screens(browser, address, arguments.out)).items():
            print(f"{arguments.out / tab}.png  {len(text)} characters of text")
    return 0


if __name__ == "__main__":
    sys.exit(main())
