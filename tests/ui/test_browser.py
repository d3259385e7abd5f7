"""The page in headless Chromium, over two real daemons with a real conflict. One browser and one pair of daemons for all."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dorkyd.core.printable import printable
from tests.daemons import RealDaemon, wait_until
from tests.nursery import nursery

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.daemon,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on PATH"),
]

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-sync", "--disable-component-update"),
]
TROUBLES = (Path(__file__).parent / "contrast.js").read_text()
HOSTILE = ("<img src=x onerror=alert(1)>.md", "gpj\u202eexe.txt", "line\nbreak")
VIEWS = (
    *("#/", "#/activity", "#/p/p", "#/p/p/files", "#/p/p/conflicts", "#/p/p/problems", "#/p/p/activity"),
    "#/p/p/file/f.txt",
)


@dataclass
class Shown:
    """The page, and what the browser did and said."""

    a: RealDaemon
    b: RealDaemon
    page: Any
    url: str
    base: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def go(self, view: str) -> None:
        """Another view, by its address."""
        self.page.goto(f"{self.base}/{view}")

    def sees(self, text: str | re.Pattern[str]) -> None:
        """Wait until a person would."""
        self.page.get_by_text(text).first.wait_for()

    def focus(self) -> str:
        """The text of what has the focus."""
        return str(self.page.evaluate("document.activeElement.innerText ?? ''")).strip()

    def tab_to(self, text: str) -> None:
        """By keyboard alone."""
        for _ in range(60):
            self.page.keyboard.press("Tab")
            if self.focus().startswith(text):
                return
        raise AssertionError(f"the tab key does not lead to {text!r}")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Two devices that agree on some files, and have edited two of them at once."""
    base = tmp_path_factory.mktemp("ui")
    bucket = base / "bucket"
    bucket.mkdir()
    a, b = (RealDaemon(base, name, f"file://{bucket}") for name in ("a", "b"))
    for name, text in {
        "d/e/one": "1",
        "d/two": "2",
        "f.txt": "one\ntwo\n",
        ".env": "KEY=zero\n",
        "x.tmp": "",
        ".dorkyignore": "*.tmp",
    }.items():
        (a.root / name).parent.mkdir(parents=True, exist_ok=True)
        (a.root / name).write_text(text)
    for name in HOSTILE:
        (a.root / name).write_text("hostile")
    out, err = base / "out", base / "err"
    try:
        a.start().sync()
        b.start().sync()
        (a.root / "f.txt").write_text("one\nthree\n")
        a.sync()
        b.sync()
        for name in ("f.txt", ".env"):
            for daemon in (a, b):
                with daemon.client() as client:
                    client.pause("p")
            for daemon in (a, b):
                (daemon.root / name).write_text(f"KEY={daemon.name}\n")
            for daemon in (b, a):
                with daemon.client() as client:
                    client.resume("p")
                daemon.sync()
        assert a.status().conflicts == 2
        command = nursery().command(["ui", "--no-browser", "--json"], a.env, base, out, err)
        wait_until("the page is served", lambda: out.exists() and out.read_text().endswith("\n"))
        told = json.loads(out.read_text())
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page(
                viewport={"width": 1280, "height": 900}, accept_downloads=True, reduced_motion="reduce"
            )
            page.set_default_timeout(20_000)
            up = Shown(a, b, page, told["url"], f"http://127.0.0.1:{told['port']}")
            page.on("request", lambda request: up.asked.append(request.url))
            page.on("console", lambda message: up.complaints.append(message.text))
            page.on("pageerror", lambda error: up.complaints.append(str(error)))
            page.goto(told["url"])
            page.wait_for_url(f"{up.base}/")
            yield up
            browser.close()
        command.terminate()
        assert command.wait(20) == 0, err.read_text()
    finally:
        a.stop()
        b.stop()


def test_the_tree_and_what_happens(shown: Shown) -> None:
    """The tree opens by keyboard, with each file's state; a save is seen without asking; names cannot lie, nor become markup."""
    page = shown.page
    shown.go("#/p/p/files")
    rows = page.get_by_role("treeitem")
    rows.filter(has_text="d/").first.wait_for()
    texts = rows.all_inner_texts()
    for name in HOSTILE:
        assert any(printable(name, keep="") in text for text in texts), name
    assert any("x.tmp" in text and "ignored" in text for text in texts)
    assert any("f.txt" in text and "conflict" in text for text in texts)
    page.keyboard.press("Tab")
    shown.tab_to(".dorkyignore")
    while not shown.focus().startswith("d/"):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    rows.filter(has_text="two").wait_for()
    page.keyboard.press("ArrowRight")
    assert shown.focus().startswith("e/")
    (shown.a.root / "d" / "new").write_text("new")
    rows.filter(has=page.get_by_text("new", exact=True)).get_by_text("in sync").wait_for()
    assert shown.focus().startswith("e/"), "the focus stays over a live update"
    page.get_by_label("Find a path").fill("E/ONE")
    rows.filter(has_text="d/e/one").wait_for()
    assert len(rows.all()) == 1, rows.all_inner_texts()
    page.get_by_label("Only what is not in sync").check()
    shown.sees("Nothing of that is out of sync.")
    shown.go("#/activity")
    shown.sees("d/new")
    samples = ["é ü \u00a0\u2028\u202e\x1b[0m\t", "\U000e0001", "a b", "\ufeff", "日本", "\u00ad", "\ue000"]
    told = page.evaluate("texts => import('/words.js').then(words => texts.map(text => words.visible(text)))", samples)
    assert told == [printable(text, keep="") for text in samples], "as dorkyctl prints it"


def test_a_conflict_and_a_former_state(shown: Shown) -> None:
    """Both sides are shown, a secret's masked; one is settled by keyboard alone, and a state before it is compared, downloaded and
    brought back.
    """
    page = shown.page
    shown.go("#/p/p/conflicts")
    page.locator("ins").filter(has_text="KEY=").first.wait_for()
    articles = page.get_by_role("article")
    env, text = (
        articles.filter(has=page.get_by_role("heading", name=".env")),
        articles.filter(has=page.get_by_role("heading", name="f.txt")),
    )
    text.get_by_text("KEY=b").wait_for()
    assert "********" in env.inner_text()
    assert not re.search(r"KEY=(a|b|zero)\b", env.inner_text())
    page.locator("main").focus()
    shown.tab_to("f.txt")
    shown.tab_to("Keep mine")
    page.keyboard.press("Enter")
    assert shown.focus() == "Cancel"
    page.keyboard.press("Escape")
    assert shown.focus() == "Keep mine"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    shown.sees(re.compile("Settled f.txt; 1 conflict left"))
    assert articles.count() == 1
    assert shown.focus().startswith("Conflicts of")
    wait_until("both have it", lambda: all((one.root / "f.txt").read_text() == "KEY=a\n" for one in (shown.a, shown.b)))

    shown.go("#/p/p/file/f.txt")
    first = page.get_by_role("listitem").filter(has_text=re.compile("Restore")).last
    first.get_by_role("button", name="Compare").click()
    page.locator("del").filter(has_text="two").wait_for()
    with page.expect_download() as waiting:
        first.get_by_role("button", name="Download").click()
    assert Path(waiting.value.path()).read_text() == "one\ntwo\n"
    assert waiting.value.suggested_filename == "f.txt"
    first.get_by_role("button", name="Restore").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    wait_until(
        "it is back everywhere",
        lambda: all((one.root / "f.txt").read_text() == "one\ntwo\n" for one in (shown.a, shown.b)),
    )
    shown.go("#/p/p/file/.env")
    page.get_by_role("button", name="Download").first.click()
    shown.sees(re.compile("may hold secrets, and is not shown"))
    shown.complaints.remove("Failed to load resource: the server responded with a status of 400 (Bad Request)")
    page.get_by_role("button", name="Compare").first.click()
    page.get_by_text("KEY=********").first.wait_for()


def test_light_dark_narrow_and_without_a_daemon(shown: Shown) -> None:
    """Every view can be read in both schemes and at 360 px, asks nobody else, and complains of nothing. The daemon's end is told,
    and so is its return; the link is spent.
    """
    page = shown.page
    shown.go("#/p/p")
    page.locator(".chart rect.up").first.wait_for()
    shown.sees(re.compile(r"\d B sent, \d+ B fetched; at most \d+ paths? left to do at once\. Watched since \d\d:\d\d"))
    troubles = {}
    for view in VIEWS:
        shown.go(view)
        page.get_by_text("Reading …").first.wait_for(state="detached")
        page.get_by_role("heading", level=1).wait_for()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for width in (360, 1280):
                page.set_viewport_size({"width": width, "height": 800})
                if found := page.evaluate(TROUBLES):
                    troubles[view, scheme, width] = found
        assert page.evaluate("document.querySelectorAll('h1').length") == 1
    assert not troubles
    assert shown.complaints == []
    assert not [url for url in shown.asked if not url.startswith(f"{shown.base}/")]

    shown.a.stop()
    shown.sees("The daemon is not running.")
    shown.a.start()
    page.locator("#link").get_by_text("live").wait_for()
    page.goto(shown.url)
    shown.sees("This link does not open the page any more")
    page.get_by_role("link", name="open it").click()
    page.locator("#link").get_by_text("live").wait_for()
