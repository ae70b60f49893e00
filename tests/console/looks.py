"""Looks at pages: each at every width and in every theme, by keyboard, and with JavaScript off."""

import re
import time
from collections import Counter
from pathlib import Path

import axe_playwright_python
import hands
import sheet

HERE = Path(__file__).parent
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
LOOK = (HERE / "look.js").read_text()
KEYS = (HERE / "keys.js").read_text()

# What axe looks for: WCAG 2.1 AA, and what is good besides.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]

# What a theme can change; the rest was seen in the first one.
COLOURS = ["color-contrast", "link-in-text-block"]

# Rows that are like those before them: axe takes seconds for a thousand.
ALIKE = [".log li:nth-child(n+30)", "tr:nth-child(n+30)", ".steps li:nth-child(n+30)", "details:nth-child(n+30)"]

# Runs before anything of the page: remembers what the browser refused, and that no dialog was asked for.
EARS = """
window.__wrong = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.__wrong.push(`refused by the policy: ${event.violatedDirective} ${event.blockedURI}`));
// What follows by itself stands still while it is looked at; `hands` sees it move.
const every = window.setInterval;
window.setInterval = (run, pause, ...more) => (pause >= 2000 ? 0 : every(run, pause, ...more));
window.EventSource = class extends EventTarget { close() {} };
window.fetch = () => new Promise(() => {});
for (const name of ["alert", "confirm", "prompt"])
  window[name] = () => window.__wrong.push(`a text of a stranger ran: ${name}()`);
"""

# The same for what was painted: two frames after the last change.
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"

# Presses of Tab from the start of a page, and to its end; what lies between is reached the same way.
FROM_START, TO_END = 60, 15

# Pixels of a picture; a page with a long log is far longer.
TALLEST = 6000

# The most time for one condition: the machine may be slow and loaded.
LIMIT = 90_000


class Looks:
    """One browser, logged in to every server once."""

    def __init__(self, browser, facts, pages, pictures):
        self.browser = browser
        self.facts = facts
        self.widths = pages["widths"]
        self.themes = pages["themes"]
        self.pictures = pictures
        # At once: the links last for ten minutes.
        self.logins = {state: hands.session(browser, known) for state, known in facts.items()}
        self.wrong = []

    def all(self, visits, shots):
        taken = []
        for page, state, address, full in visits:
            begun = time.monotonic()
            if shots:
                taken += self.shoot(page, state, address)
            else:
                self.check(page, state, address, full)
            print(f"{page['name']} {state}: {time.monotonic() - begun:.1f} s", flush=True)
        if shots:
            sheet.write(self.pictures, taken)
        return self.wrong

    def context(self, page, state, **more):
        login = None if page.get("public") else self.logins[state]
        context = self.browser.new_context(storage_state=login, reduced_motion="reduce", **more)
        context.set_default_timeout(LIMIT)
        return context

    def shoot(self, page, state, address):
        taken = []
        context = self.context(page, state)
        tab = context.new_page()
        for width in self.widths:
            tab.set_viewport_size(size(width))
            tab.goto(address)
            for theme in self.themes:
                tab.emulate_media(color_scheme=theme)
                tab.evaluate(PAINTED)
                taken.append(self.picture(tab, page, state, width, theme))
        context.close()
        return taken

    def picture(self, tab, page, state, width, theme):
        name = f"{page['name']}-{state}-{width}-{theme}.png"
        tall = tab.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": min(tall, TALLEST)}
        tab.screenshot(path=self.pictures / name, full_page=True, clip=clip)
        return name

    def check(self, page, state, address, full):
        widths, themes = (self.widths, self.themes) if full else (self.widths[:1], self.themes[:1])
        context = self.context(page, state)
        context.add_init_script(EARS)
        tab = context.new_page()
        said = []
        expected = page.get("status", 200)
        tab.on("dialog", lambda dialog: (said.append(f"a dialog opened: {dialog.message}"), dialog.dismiss()))
        tab.on("pageerror", lambda error: said.append(f"an error of a script: {error}"))
        tab.on("console", lambda line: said.append(f"console: {line.text}") if loud(line, expected) else None)
        text = ""
        for width in widths:
            tab.set_viewport_size(size(width))
            answer = tab.goto(address)
            for theme in themes:
                tab.emulate_media(color_scheme=theme)
                tab.evaluate(PAINTED)
                wrong = [] if answer.status == expected else [f"status {answer.status}, want {expected}"]
                wrong += tab.evaluate(LOOK) + self.axe(tab, theme == themes[0]) + said
                said.clear()
                self.note(tab, page, state, width, theme, wrong)
            text = main_text(tab)
            self.note(tab, page, state, width, "keyboard", keyboard(tab))
        self.without_scripts(page, state, address, widths[-1], text)
        context.close()

    def axe(self, tab, whole):
        if not tab.evaluate("'axe' in window"):
            tab.evaluate(AXE)
        only = {"type": "tag", "values": RULES} if whole else {"type": "rule", "values": COLOURS}
        options = {"runOnly": only, "resultTypes": ["violations"], "preload": False}
        run = "([alike, options]) => axe.run({ exclude: alike }, options).then((result) => result.violations)"
        found = tab.evaluate(run, [[[row] for row in ALIKE], options])
        return [told(violation) for violation in found]

    def without_scripts(self, page, state, address, width, text):
        """With JavaScript off, a page says the same."""
        context = self.context(page, state, java_script_enabled=False)
        tab = context.new_page()
        tab.set_viewport_size(size(width))
        tab.goto(address)
        # What the server finds out meanwhile may change a page between two looks: that it has words must do then.
        here = main_text(tab)
        missing = text - here if not (page.get("moves") and here) else Counter()
        wrong = [f"only with JavaScript ({n} times): {line[:120]!r}" for line, n in list(missing.items())[:5]]
        self.note(tab, page, state, width, "without JavaScript", wrong)
        context.close()

    def note(self, tab, page, state, width, how, wrong):
        if not wrong:
            return
        self.picture(tab, page, state, width, how.replace(" ", "-"))
        self.wrong += [f"{page['name']}, {state}, {width} px, {how}: {line}" for line in wrong]


def size(width):
    return {"width": width, "height": 800}


def loud(line, expected):
    # The browser itself tells of a page that is rightly not found.
    return line.type in ("error", "warning") and not (expected >= 400 and f"status of {expected}" in line.text)


def told(violation):
    places = [f"{node['target'][0]} {node.get('failureSummary', '')}" for node in violation["nodes"][:3]]
    places = [re.sub(r"\s+", " ", place)[:300] for place in places]
    rest = f" and {len(violation['nodes']) - 3} more" if len(violation["nodes"]) > 3 else ""
    return f"axe {violation['id']} ({violation['impact']}): {' | '.join(places)}{rest}"


def main_text(tab):
    """The words of the page, without what moves on by itself, times and counts, and what a script is for: to copy."""
    text = tab.evaluate("document.querySelector('main').innerText")
    lines = (re.sub(r"\d+(\.\d+)?", "0", re.sub(r"\s+", " ", line)).strip() for line in text.splitlines())
    unit = "0 ?(?:s|min|h|d|second|minute|hour|day)s?"
    moving = re.compile(rf"\b(?:just now|{unit}(?: {unit})*(?: ago)?)\b")
    return Counter(line for line in (moving.sub("0", line) for line in lines) if line not in ("", "Copy"))


def keyboard(tab):
    """Tab reaches what a person can act on, in order, and shows where it is."""
    found = tab.evaluate(KEYS)
    wrong = [f"not reached by Tab: {door}" for door in found["never"]]
    wrong += [f"a tabindex above 0 breaks the order: {door}" for door in found["first"]]
    doors = found["doors"]
    tab.evaluate("document.activeElement?.blur(); window.getSelection()?.collapse(document.body, 0)")
    press(tab, min(doors, FROM_START))
    jump = tab.evaluate("window.__visits.length")
    if doors > FROM_START:
        tab.evaluate("(n) => window.__doors.at(n)?.focus()", -TO_END)
        press(tab, TO_END)
    visits = tab.evaluate("window.__visits")
    reached = {visit["n"] for visit in visits}
    want = set(range(min(doors, FROM_START))) | set(range(max(0, doors - TO_END), doors))
    # A box that scrolls takes a Tab of its own.
    strange = [visit for visit in visits if visit["n"] < 0 and visit["scrolls"]]
    for n in sorted(want - reached)[len(strange) :][:3]:
        door = tab.evaluate("(n) => window.__doors[n].outerHTML.slice(0, 120)", n)
        wrong.append(f"Tab does not come to element {n} of {doors}: {door}")
    ways = [[visit["n"] for visit in way if visit["n"] >= 0] for way in (visits[:jump], visits[jump:])]
    back = [(a, b) for way in ways for a, b in zip(way, way[1:], strict=False) if b < a and b != 0]
    wrong += [f"the order of Tab goes back from {a} to {b}" for a, b in back[:3]]
    wrong += [f"the focus can't be seen on {visit['told']}" for visit in visits if not visit["ring"]][:3]
    return wrong + summaries(tab)


def press(tab, times):
    for _ in range(times):
        tab.keyboard.press("Tab")


def summaries(tab):
    """Enter opens and closes what folds."""
    folds = tab.locator("main summary")
    if not folds.count() or not folds.first.is_visible():
        return []
    fold = folds.first
    state = "(el) => el.parentElement.open"
    before = fold.evaluate(state)
    fold.focus()
    tab.keyboard.press("Enter")
    after = fold.evaluate(state)
    tab.keyboard.press("Space")
    if before == after or fold.evaluate(state) != before:
        return ["Enter and Space do not open and close a summary"]
    return []
