"""Check the built site: every link within it leads somewhere, and no page fetches anything from another host.

``python site/check.py site/_build/html`` prints what is wrong, and fails if anything is.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"img": ("src", "srcset"), "script": ("src",), "iframe": ("src",), "source": ("src", "srcset"),
           "video": ("src",)}
FETCHED_RELATIONS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "manifest"}
REMOTE = re.compile(r"url\(\s*['\"]?(?:https?:)?//|@import\s+['\"]?(?:https?:)?//")


class Page(HTMLParser):
    """What a page links to, what it fetches, its anchors, and its pictures without words."""

    def __init__(self, text):
        super().__init__()
        self.links, self.fetched, self.anchors, self.wordless = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        # a page of source leads back to one room alone, where two offer a name: to its page, if not to the very place
        if tag == "a" and found.get("href") and found.get("class") != "viewcode-back":
            self.links.append(found["href"])
        if tag == "img" and not found.get("alt", "").strip() and "aria-hidden" not in found:
            self.wordless.append(found.get("src", ""))
        relations = set((found.get("rel") or "").split())
        names = FETCHED.get(tag, ()) + (("href",) if tag == "link" and relations & FETCHED_RELATIONS else ())
        self.fetched += [found[name] for name in names if found.get(name)]


def problems(folder):
    """Every problem of the site in ``folder``, as lines."""
    folder = Path(folder).resolve()
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        where = path.relative_to(folder)
        for address in page.links + page.fetched:
            parts = urlsplit(address)
            if parts.scheme in ("http", "https") or parts.netloc:
                if address in page.fetched:
                    yield f"{where}: fetches {address} from another host"
                continue
            if parts.scheme:
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if not target.is_file():
                yield f"{where}: no file {address}"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{where}: no anchor {address}"
        for source in page.wordless:
            yield f"{where}: no alternative text for {source[:80]}"
    for path in folder.rglob("*.css"):
        if REMOTE.search(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(folder)}: fetches from another host"


if __name__ == "__main__":
    found = sorted(set(problems(sys.argv[1])))
    print("\n".join(found))
    sys.exit(bool(found))
