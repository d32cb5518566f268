"""Time of the live page in headless Chromium on a day with many detections: first paint, filters, and arrival.

python -m benchmarks.live_page [--detections 5000] [--rounds 15]     needs chromium and playwright

First contentful paint is the browser's own measurement; a filter takes from its `input` event to the frame after its
rows are in the page, with half a second between two; arrival from the commit of a detection by another connection to
its row in the page.
"""

import importlib.util
import shutil
import statistics
import tempfile
import threading
import time
from argparse import ArgumentParser
from datetime import date, timedelta
from pathlib import Path

from birdnet_nl.live.server import LiveServer, listen
from birdnet_nl.live.settings import LiveSettings

FACTORY = Path(__file__).resolve().parents[1] / "tests" / "live" / "factory.py"
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
FILTER = """([name, value]) => new Promise(resolve => {
  const list = document.getElementById("rows"), select = document.querySelector(`select[name=${name}]`);
  const started = performance.now();
  new MutationObserver((_, observer) => {
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - started)));
  }).observe(list, { childList: true });
  select.value = value;
  select.dispatchEvent(new Event("input", { bubbles: true }));
})"""
FILTERS = (
    ("type", "alarm"), ("species", "merel"), ("certainty", "uncertain"), ("type", ""), ("species", ""),
    ("certainty", ""),
)  # fmt: skip


def load_factory():
    spec = importlib.util.spec_from_file_location("live_factory", FACTORY)
    factory = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(factory)
    return factory


def measure(page, address: str, connection, factory, rounds: int) -> dict[str, list[float]]:
    """Return the measurements in milliseconds."""
    times: dict[str, list[float]] = {"first paint": [], "filter": [], "arrival": []}
    for _ in range(rounds):
        page.goto(address)
        page.locator("#connection.on").wait_for()
        page.wait_for_timeout(1500)  # the first list, highlights and spectrograms have arrived
        times["first paint"].append(page.evaluate(PAINT))
        for name, value in FILTERS:
            times["filter"].append(page.evaluate(FILTER, [name, value]))
            page.wait_for_timeout(500)  # between two choices of a person; the images of the rows follow
    for second in range(min(rounds, 10)):
        page.wait_for_timeout(400)
        started = time.perf_counter()
        id = factory.add_detection(connection, f"{date.today()}T23:59:{50 + second % 10}", "merel", "song")
        page.locator(f"#d{id}").wait_for(state="attached")
        times["arrival"].append(1000 * (time.perf_counter() - started))
    return times


def summary(values: list[float]) -> str:
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    median = statistics.median(ordered)
    return f"median {median:6.0f} ms   95 % {high:6.0f} ms   max {ordered[-1]:6.0f} ms   n {len(ordered)}"


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.live_page", description=__doc__.splitlines()[0])
    parser.add_argument("--detections", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    factory = load_factory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = [factory.write_clip(folder / "clips" / f"{number}.wav", seed=number).name for number in range(20)]
        connection = factory.make_database(folder / "detections.db", folder / "clips")
        factory.fill_day(connection, date.today(), arguments.detections, clips)
        for days in range(1, 11):  # a database is larger than one day
            factory.fill_day(
                connection, date.today() - timedelta(days=days), arguments.detections // 5, clips, seed=days
            )
        settings = LiveSettings(database=folder / "detections.db", cache=folder / "cache", port=0)
        server, listening = LiveServer(settings), listen(settings)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for screen in ({"width": 1280, "height": 900}, {"width": 375, "height": 800}):
                page = browser.new_context(viewport=screen).new_page()
                address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
                times = measure(page, address, connection, factory, arguments.rounds)
                for title, values in times.items():
                    print(f"{screen['width']:5d} px  {title:12s} {summary(values)}")
                page.close()
            browser.close()
        server.should_exit = True
        thread.join(10)


if __name__ == "__main__":
    main()
