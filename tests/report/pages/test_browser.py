"""The HTML page in a real browser, driven over a pipe with the standard library alone."""

import base64
import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from zeroproofml.report import derive, rundir

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium here: layout and CSP go unseen"),
]
WIDTHS = (320, 400, 768, 1280, 2560)

LOOK = """(() => {
  const wide = [...document.querySelectorAll('body *')].filter(e => !e.closest('.wide, svg'))
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
    .map(e => e.tagName + '.' + e.className);
  const small = [], outside = [], overlaps = [];
  for (const plate of document.querySelectorAll('.plates > svg')) {
    const box = plate.getBoundingClientRect();
    const scale = box.width / 440;
    const texts = [...plate.querySelectorAll('text')].filter(t => t.textContent.trim());
    const seen = [];
    for (const t of texts) {
      const b = t.getBoundingClientRect();
      const size = parseFloat(getComputedStyle(t).fontSize) * scale;
      if (size < 10.5) small.push([t.textContent, size]);
      if (b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 1
          || b.bottom > box.bottom + 1) outside.push(t.textContent);
      for (const [other, o] of seen) {
        const x = Math.min(b.right, o.right) - Math.max(b.left, o.left);
        const y = Math.min(b.bottom, o.bottom) - Math.max(b.top, o.top);
        if (x > 1 && y > 5 * scale) overlaps.push([t.textContent, other]);
      }
      seen.push([t.textContent, b]);
    }
  }
  const ground = getComputedStyle(document.body).backgroundColor;
  return JSON.stringify({
    scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth,
    wide, small, outside, overlaps, ground,
    plates: document.querySelectorAll('.plates > svg').length,
  });
})()"""


WIRE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Chrome:
    """A browser behind two pipes: commands go in, answers and events come out, NUL between."""

    def __init__(self, profile):
        read_in, self.write = os.pipe()
        self.read, write_out = os.pipe()
        # The browser wants 3 and 4. A program of its own puts them there: code of ours between fork
        # and exec is not safe once JAX has threads. Out of the way first: they may be 3 or 4.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (read_in, write_out)]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", WIRE, *map(str, ends), BROWSER),
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-extensions",
                "--disable-background-networking",
                "--no-first-run",
                f"--user-data-dir={profile}",
                "--remote-debugging-pipe",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=ends,
        )
        for end in ends:
            os.close(end)
        os.close(read_in)
        os.close(write_out)
        self.number, self.rest, self.events = 0, b"", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable", session=True)
        self.call("Emulation.setScrollbarsHidden", session=True, hidden=True)  # as on a phone

    def message(self):
        while b"\0" not in self.rest:
            block = os.read(self.read, 1 << 20)
            assert block, "the browser ended"
            self.rest += block
        first, _, self.rest = self.rest.partition(b"\0")
        return json.loads(first)

    def call(self, method, session=False, **params):
        self.number += 1
        body = {"id": self.number, "method": method, "params": params}
        if session:
            body["sessionId"] = self.session
        os.write(self.write, json.dumps(body).encode() + b"\0")
        while True:
            message = self.message()
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def open(self, url, width, scheme):
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            session=True,
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        feature = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", session=True, features=feature)
        self.call("Page.navigate", session=True, url=url)
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.message())
        found = self.call("Runtime.evaluate", session=True, expression=LOOK)
        return json.loads(found["result"]["value"])

    def heard(self, *methods):
        return [e for e in self.events if e.get("method") in methods]

    def close(self):
        with contextlib.suppress(OSError):
            os.close(self.write)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.read)


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    made = Chrome(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture
def page(make_run, tmp_path):
    """A page with figures, a failed arm, a stop banner and long tables."""
    raw = rundir.load_raw_run(make_run(mode="paper", seeds=tuple(range(1, 11)), failed=("clamp",)))
    finding = rundir.Finding("error", "digest", "seed_1/commit.json", "", "sha256 differs", "mend")
    files = derive.derive(raw, derive.Options(html=True, findings=(finding,)))
    path = tmp_path / "RUN_REPORT.html"
    path.write_bytes(files["RUN_REPORT.html"])
    return path.as_uri()


def test_layout_at_every_width_in_both_schemes(chrome, page):
    grounds = set()
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            seen = chrome.open(page, width, scheme)
            where = (width, scheme)
            assert seen["scroll"] == seen["client"], (where, seen["wide"][:5])
            assert seen["plates"] == 4
            assert seen["outside"] == [], where
            assert seen["overlaps"] == [], where
            if width >= 400:
                assert seen["small"] == [], where
            grounds.add((scheme, seen["ground"]))
            requests = chrome.heard("Network.requestWillBeSent")
            assert [r["params"]["request"]["url"] for r in requests] == [page]
            noise = chrome.heard(
                "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"
            )
            assert noise == []
    assert grounds == {("light", "rgb(255, 255, 255)"), ("dark", "rgb(21, 23, 26)")}


def test_all_kinds_of_chart_keep_their_text_apart(chrome, charts, tmp_path):
    from zeroproofml.report.pages import html
    from zeroproofml.report.pages.model import Page, Section

    figures = tuple(charts.figure(name) for name in (*charts.PLATES, "bode"))
    path = tmp_path / "charts.html"
    path.write_text(html.render(Page("audit", "t", "s", (), (), (Section("a", "A", figures),))))
    for width in (400, 1280):
        seen = chrome.open(path.as_uri(), width, "light")
        assert seen["outside"] == []
        assert seen["overlaps"] == []
        assert seen["small"] == []


def test_the_print_of_a_dark_page_is_that_of_a_light_one(chrome, page):
    made = []
    for scheme in ("light", "dark"):
        chrome.open(page, 1280, scheme)
        result = chrome.call("Page.printToPDF", session=True, printBackground=True)
        pdf = base64.b64decode(result["data"])
        assert pdf.startswith(b"%PDF")
        made.append(len(re.findall(rb"/Type\s*/Page\b", pdf)))
        chrome.call("Emulation.setEmulatedMedia", session=True, media="print")
        ground = chrome.call(
            "Runtime.evaluate",
            session=True,
            expression="getComputedStyle(document.body).backgroundColor",
        )["result"]["value"]
        assert ground == "rgb(255, 255, 255)"
        chrome.call("Emulation.setEmulatedMedia", session=True, media="")
    assert made[0] == made[1] > 1
