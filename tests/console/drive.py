"""Drives a real browser through the console.

drive.py pages|shots|hands|logs FACTS PICTURES [FILTER]

`pages` checks the list pages.toml, `shots` only takes its pictures, `hands` acts by keyboard alone,
`logs` reads logs.
FACTS says where the servers are. FILTER (or DANUBE_PAGES) is a regular expression of `page state`.
"""

import json
import os
import re
import sys
import time
import tomllib
from pathlib import Path

import hands
import logs
import looks
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def visits(pages, facts, only):
    """Each page in each of its states, with its address, and whether it is looked at in full."""
    for page in pages["page"]:
        for how in ("states", "brief"):
            for state in page.get(how, []):
                if re.search(only, f"{page['name']} {state}"):
                    known = facts[state]
                    yield page, state, known["base"] + page["path"].format(**known), how == "states"


def main():
    part, facts, pictures = sys.argv[1:4]
    only = sys.argv[4] if len(sys.argv) > 4 else os.environ.get("DANUBE_PAGES", "")
    facts = json.loads(Path(facts).read_text())
    pages = tomllib.loads((HERE / "pages.toml").read_text())
    pictures = Path(pictures)
    pictures.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        if part == "hands":
            wrong = hands.act(browser, facts["live"], pictures)
        elif part == "logs":
            wrong = logs.act(browser, facts["logs"], pictures)
        else:
            look = looks.Looks(browser, facts, pages, pictures)
            shots = part == "shots"
            wrong = look.all(visits(pages, facts, only), shots)
        browser.close()
    print(f"{part}: {time.monotonic() - begun:.0f} s")
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


main()
