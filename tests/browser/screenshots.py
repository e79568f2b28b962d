"""Photograph every state of every buyer page: `python -m tests.browser.screenshots FOLDER [NAME...]`.

Three widths, two languages, light and dark; what to look for stands in the review list of the design. Each picture is
NAME-LANGUAGE-SCHEME-WIDTH.png, the whole page.
"""

import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

from tests.browser.gallery import Gallery, open_gallery
from tests.browser_binary import LAUNCH_ARGS, find_browser

SIZES = {1280: 800, 768: 1024, 320: 568}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def photograph(browser: Browser, gallery: Gallery, folder: Path, *, names: list[str]) -> None:
    """Write the pictures of the named exhibits."""
    context = browser.new_context()
    page = context.new_page()
    for name in names:
        gallery.exhibits[name].admit(context)
        for language in ("en", "vi"):
            page.goto(gallery.url(name, language=language))
            for width, height in SIZES.items():
                page.set_viewport_size({"width": width, "height": height})
                for scheme in SCHEMES:
                    page.emulate_media(color_scheme=scheme)
                    page.screenshot(path=folder / f"{name}-{language}-{scheme}-{width}.png", full_page=True)
    context.close()


def main(folder: Path, names: list[str]) -> None:
    """Make the gallery and the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, open_gallery(Path(data)) as gallery, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(LAUNCH_ARGS))
        photograph(browser, gallery, folder, names=names or list(gallery.exhibits))
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
