"""A real browser shows the page without a complaint and prints it, where one is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from some_report import EVIL, report

from waystage.report.page import page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), "")

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not BROWSER, reason=f"no browser is installed: {', '.join(BROWSERS)}"),
]


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    place = tmp_path / "report.html"
    place.write_text(page(report(EVIL)))
    return place


def browse(shown: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Have the browser open the page without a window; everything that it writes stays beside."""
    own = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
           f"--user-data-dir={shown.parent / 'profile'}", "--enable-logging=stderr"]  # fmt: skip
    home = {"HOME": str(shown.parent)}
    return subprocess.run([BROWSER, *own, *words, shown.as_uri()], capture_output=True, text=True,
                          timeout=300, check=True, env={**os.environ, **home})  # fmt: skip


def test_the_browser_keeps_every_plot_and_refuses_nothing(shown: Path) -> None:
    done = browse(shown, "--dump-dom")
    assert done.stdout.count("<svg") == page(report(EVIL)).count("<svg")
    assert "<script" not in done.stdout
    complaints = [line for line in done.stderr.splitlines()
                  if "CONSOLE" in line or "Content Security Policy" in line]  # fmt: skip
    assert complaints == []


WIDER = """<script>document.title = [document.documentElement.scrollWidth,
document.documentElement.clientWidth].join(" ")</script></body>"""


@pytest.mark.parametrize("width", [500, 1200])  # the browser makes no window that is narrower
def test_no_page_is_wider_than_its_window(shown: Path, width: int) -> None:
    text = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", shown.read_text())
    shown.write_text(text.replace("</body>", WIDER))
    told = browse(shown, "--dump-dom", f"--window-size={width},900").stdout
    found = re.search(r"<title>(\d+) (\d+)</title>", told)
    assert found, told[:500]
    assert int(found[1]) == int(found[2])


def test_the_browser_prints_it_on_a4(shown: Path) -> None:
    out = shown.with_suffix(".pdf")
    browse(shown, f"--print-to-pdf={out}", "--no-pdf-header-footer")
    body = out.read_bytes()
    assert body.startswith(b"%PDF-")
    boxes = {tuple(float(each) for each in found.split())
             for found in re.findall(rb"/MediaBox\s*\[([^\]]*)\]", body)}  # fmt: skip
    assert boxes
    for _, _, wide, high in boxes:  # points: 210 by 297 mm
        assert abs(wide - 595) < 2
        assert abs(high - 842) < 2
