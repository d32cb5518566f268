"""The live page in headless Chromium: arriving rows, filters, corrections, narrow screens, and markup as text."""

import importlib.util
import shutil
import threading
import time
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from birdnet_nl.live.server import LiveServer, listen
from birdnet_nl.live.settings import LiveSettings

spec = importlib.util.spec_from_file_location("live_factory", Path(__file__).with_name("factory.py"))
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
HOSTILE = (
    "<script>window.executed = 1</script>",
    '"><img src=x onerror="window.executed=1">',
    "'><svg onload=window.executed=1>",
    "</textarea></title></script><script>window.executed=1</script>",
    "<iframe srcdoc='<script>parent.executed=1</script>'>",
    "{{ executed }}${window.executed=1}",
    "javascript:window.executed=1",
    "\u202eevil\u2066 <b onmouseover=window.executed=1>bold</b>",
    "<style>*{display:none}</style>",
    "<base href='http://evil.example/'><a href='javascript:window.executed=1'>x</a>",
)
WATCH = """window.violations = [];
document.addEventListener("securitypolicyviolation", event => window.violations.push(event.violatedDirective));"""


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def connection(tmp_path):
    connection = factory.make_database(tmp_path / "detections.db", tmp_path / "clips")
    factory.write_clip(tmp_path / "clips" / "a.wav", 2.0)
    yield connection
    connection.close()


@contextmanager
def serving(tmp_path, **values):
    """Serve the database of the test on a free port of loopback; yield the address."""
    settings = LiveSettings(database=tmp_path / "detections.db", cache=tmp_path / "cache", port=0, **values)
    server, listening = LiveServer(settings), listen(settings)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive(), "open event streams keep the server from stopping"


@pytest.fixture
def address(tmp_path, connection):
    with serving(tmp_path) as address:
        yield address


@pytest.fixture
def page(browser, address):
    context = browser.new_context(base_url=address, locale="en-GB", viewport={"width": 1280, "height": 900})
    context.add_init_script(WATCH)
    page = context.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    yield page
    assert page.problems == []
    context.close()


def at(time_of_day: str) -> str:
    return f"{date.today()}T{time_of_day}"


def wait_for(page, condition, timeout_s=30):
    """Wait until an expression is true; Playwright's own waiting evaluates text, which the policy forbids."""
    end = time.monotonic() + timeout_s
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)


def open_connected(page, path: str = "/") -> None:
    page.goto(path)
    page.locator("#connection.on").wait_for()


def test_a_detection_appears_without_reloading_and_its_result_follows(page, connection):
    factory.add_detection(connection, at("06:00:00"), "merel", "song")
    open_connected(page)
    assert page.locator(".detection").count() == 1
    id = factory.add_detection(connection, at("07:00:00"), "vink", "", state="new")
    page.locator(f"#d{id}").wait_for(timeout=8000)
    assert page.locator(".detection").first.get_attribute("id") == f"d{id}"
    factory.add_result(connection, id, "alarm", 0.97)
    connection.execute("UPDATE detections SET state = 'done' WHERE id = ?", (id,))
    page.locator(f"#d{id} .badge.alarm", has_text="alarm 97 %").wait_for(timeout=8000)
    connection.execute("UPDATE detections SET deleted_at = 1 WHERE id = ?", (id,))
    page.locator(f"#d{id}").wait_for(state="detached", timeout=8000)


def test_filters_change_rows_counts_and_address_and_hide_rows_that_do_not_match(page, connection):
    factory.add_detection(connection, at("06:00:00"), "merel", "song")
    factory.add_detection(connection, at("06:10:00"), "merel", "alarm")
    open_connected(page)
    page.select_option("select[name=type]", "alarm")
    wait_for(page, "document.querySelectorAll('.detection').length === 1")
    assert "type=alarm" in page.url and page.locator(".count b").inner_text() == "1"
    song = factory.add_detection(connection, at("06:20:00"), "merel", "song")
    alarm = factory.add_detection(connection, at("06:21:00"), "merel", "alarm")
    page.locator(f"#d{alarm}").wait_for(timeout=8000)
    assert page.locator(f"#d{song}").count() == 0
    page.select_option("select[name=type]", "")
    page.locator(f"#d{song}").wait_for()


def test_one_tap_corrects_and_a_second_withdraws_and_the_name_is_asked_once(page, connection):
    ids = [factory.add_detection(connection, at(f"06:0{n}:00"), "merel", "song", 0.6) for n in range(2)]
    open_connected(page)
    page.locator(f"#d{ids[0]} .tap[data-type=alarm]").click()
    page.fill("#person", "Anna <b>")
    page.click("dialog button[value=save]")
    page.locator(f"#d{ids[0]} .tap[data-type=alarm][aria-pressed=true]").wait_for()
    assert "corrected by Anna <b>" in page.locator(f"#d{ids[0]}").inner_text()
    page.locator(f"#d{ids[1]} .tap.right").click()
    page.locator(f"#d{ids[1]} .tap.right[aria-pressed=true]").wait_for()
    page.locator(f"#d{ids[0]} .tap[data-type=alarm]").click()
    page.locator(f"#d{ids[0]} .tap[data-type=alarm][aria-pressed=false]").wait_for()
    stored = connection.execute("SELECT detection, type, person FROM corrections ORDER BY id").fetchall()
    assert [tuple(row) for row in stored] == [
        (ids[0], "alarm", "Anna <b>"), (ids[1], "song", "Anna <b>"), (ids[0], "", "Anna <b>"),
    ]  # fmt: skip


def test_spectrogram_and_player_work_and_a_missing_clip_is_said_in_words(page, connection):
    present = factory.add_detection(connection, at("06:00:00"), clip="a.wav")
    missing = factory.add_detection(connection, at("06:01:00"), clip="gone.wav")
    open_connected(page)
    wait_for(page, f"document.querySelector('#d{present} img').naturalWidth > 100")
    page.locator(f"#d{present} .play").click()
    page.locator(f"#d{present} .play.playing").wait_for()
    page.locator(f"#d{missing} .no-audio").wait_for()


def test_further_rows_are_loaded_when_they_are_scrolled_to(page, connection):
    factory.fill_day(connection, date.today(), 150)
    open_connected(page)
    for _ in range(40):
        page.mouse.wheel(0, 5000)
        page.wait_for_timeout(100)
        if page.locator(".detection").count() == 150:
            break
    times = page.evaluate("[...document.querySelectorAll('.detection time')].map(item => item.dateTime)")
    assert len(times) == 150 and times == sorted(times, reverse=True)


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
@pytest.mark.parametrize("path", ["/", "/?lang=nl", "/patterns?lang=nl&species=merel", "/check", "/login"])
def test_no_page_is_wider_than_the_screen(page, connection, width, path):
    factory.add_detection(connection, at("06:00:00"), "merel", clip="a.wav", common_name="x" * 90, source="y" * 90)
    factory.add_detection(connection, at("06:01:00"), "Extremelylongunbrokenscientificname", "", reason="z" * 200)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(path)
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_control_has_a_name_and_the_keyboard_reaches_the_detections(page, connection):
    factory.add_detection(connection, at("06:00:00"), clip="a.wav")
    open_connected(page)
    unnamed = page.evaluate("""[...document.querySelectorAll("button, a, input, select, img, svg[role=img]")]
      .filter(item => item.offsetParent && !(item.ariaLabel || item.innerText || item.alt || item.labels?.length
        || item.getAttribute("aria-labelledby"))).map(item => item.outerHTML)""")
    assert unnamed == []
    page.keyboard.press("Tab")
    assert "skip" in page.evaluate("document.activeElement.className")
    page.keyboard.press("Enter")
    page.keyboard.press("j")
    assert page.evaluate("!!document.activeElement.closest('.detection')")


def test_markup_in_names_reasons_sources_and_comments_is_never_executed(page, connection):
    """Hostile text in every column that the page shows, in every page, as it is loaded and as it arrives."""
    ids = []
    for number, text in enumerate(HOSTILE):
        names = {"scientific_name": text, "common_name": text, "source": text, "reason": text}
        ids.append(factory.add_detection(connection, at(f"08:{number:02d}:00"), text, "song", clip="a.wav", **names))
        connection.execute("UPDATE results SET model = ?, warning = ? WHERE detection = ?", (text, text, ids[-1]))
        connection.execute(
            "INSERT INTO corrections (detection, type, person, comment, corrected_at) VALUES (?, 'alarm', ?, ?, 1)",
            (ids[-1], text, text),
        )
        other = factory.add_detection(connection, at("07:00:00"), text, "")
        result = factory.add_result(connection, other, text)
        connection.execute("UPDATE results SET type = ? WHERE id = ?", (text, result))
    from urllib.parse import quote

    targets = ["/", "/check", "/patterns", "/highlights", "/?lang=nl"]
    targets += [f"/?{name}={quote(text)}" for name in ("species", "type") for text in HOSTILE]
    targets += [f"/patterns?species={quote(text)}" for text in HOSTILE]
    for target in targets:
        page.goto(target)
        page.wait_for_timeout(150)
        assert page.evaluate("window.executed") is None, target
        assert page.evaluate("window.violations") == [], target
        assert page.locator("main script, main iframe, main style, main base").count() == 0, target
    open_connected(page)
    for number, text in enumerate(HOSTILE):
        factory.add_detection(
            connection, at(f"09:{number:02d}:00"), text, "song", scientific_name=text, common_name=text
        )
    wait_for(page, f"document.querySelectorAll('.detection').length >= {2 * len(HOSTILE)}", timeout_s=10)
    assert page.evaluate("window.executed") is None and page.evaluate("window.violations") == []
    assert HOSTILE[0] in page.locator("#rows").text_content()


def test_login_opens_the_page_and_allows_corrections(browser, tmp_path, connection):
    """With the headers that a browser sends by itself: its Origin is null, because no referrer is sent."""
    id = factory.add_detection(connection, at("06:00:00"))
    with serving(tmp_path, token="0123456789abcdef") as address:
        context = browser.new_context(base_url=address)
        page = context.new_page()
        page.goto("/")
        assert page.locator(".detection").count() == 0
        page.fill("#token", "0123456789abcdef")
        page.click("main button")
        page.locator("#connection.on").wait_for()
        assert page.evaluate("document.cookie") == ""
        page.evaluate("localStorage.setItem('birdnet_nl.person', 'Anna')")
        page.locator(f"#d{id} .tap.right").click()
        page.locator(f"#d{id} .tap.right[aria-pressed=true]").wait_for()
        page.click("text=Log out")
        page.locator("#token").wait_for()
        context.close()


def test_a_script_of_another_origin_and_inline_code_are_blocked_by_the_policy(page, connection):
    page.goto("/")
    page.evaluate("""() => { const item = document.createElement("img"), code = document.createElement("script");
      item.setAttribute("onerror", "window.executed = 1");
      item.src = "/missing.png";
      code.textContent = "window.executed = 1";
      document.body.append(item, code); }""")
    page.wait_for_timeout(300)
    assert page.evaluate("window.executed") is None and len(page.evaluate("window.violations")) >= 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(browser, address, connection, scheme):
    """Contrast of at least 4.5, as WCAG AA demands for text."""
    factory.add_detection(connection, at("06:00:00"), "merel", "song")
    factory.add_detection(connection, at("06:01:00"), "merel", "call")
    factory.add_detection(connection, at("06:02:00"), "merel", "alarm")
    factory.add_detection(connection, at("06:03:00"), "merel", "song", 0.4, uncertain=True)
    context = browser.new_context(base_url=address, color_scheme=scheme)
    page = context.new_page()
    page.goto("/")
    low = page.evaluate("""() => {
      const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
      const light = rgb => rgb.slice(0, 3).map(v => v / 255)
        .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
      const back = node => { for (; node; node = node.parentElement) {
        const c = parse(getComputedStyle(node).backgroundColor);
        if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
      const texts = ".badge, .soft, .tile span, h1, h2, h3, .tap, .button, dt, dd span, nav a";
      return [...document.querySelectorAll(texts)].filter(item => item.offsetParent)
        .map(item => { const a = light(parse(getComputedStyle(item).color)), b = light(back(item));
          return [item.className || item.tagName, (Math.max(a, b) + .05) / (Math.min(a, b) + .05)]; })
        .filter(([, ratio]) => ratio < 4.5).map(([name, ratio]) => `${name} ${ratio.toFixed(2)}`);
    }""")
    context.close()
    assert sorted(set(low)) == []
