"""The picture of the report page in the README: the top of reports/index.html in headless Chromium.

    python tools/report_picture.py

Run it after `dvc repro`. It needs the extra dev and a Chromium or Chrome on the PATH.
"""

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

REPOSITORY = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LARGEST = 300_000
"""Bytes of the picture at most: everyone who opens the README loads it."""


def take(page: Path, picture: Path, width: int, height: int) -> int:
    """Writes the top of the page as PNG and returns its size in bytes."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        tab = chromium.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        # The charts are drawn by the page's script.
        tab.wait_for_selector(".js-plotly-plot .main-svg")
        tab.wait_for_timeout(1000)
        tab.screenshot(path=picture)
        chromium.close()
    return picture.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, default=REPOSITORY / "reports" / "index.html")
    parser.add_argument("--picture", type=Path, default=REPOSITORY / "docs" / "report.png")
    parser.add_argument("--width", type=int, default=1200, help="pixels (default: %(default)s)")
    parser.add_argument("--height", type=int, default=1590, help="pixels (default: %(default)s)")
    arguments = parser.parse_args()
    if not arguments.page.is_file():
        sys.exit(f"{arguments.page}: no such page; run dvc repro")
    size = take(arguments.page, arguments.picture, arguments.width, arguments.height)
    print(f"{arguments.picture}: {size:,} bytes")
    if size > LARGEST:
        sys.exit(f"more than {LARGEST:,} bytes: take less of the page, with --height")


if __name__ == "__main__":
    main()
