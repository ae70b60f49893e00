"""Acts as a person without a mouse."""

import re

LIMIT = 90_000

# The words of what has the focus.
FOCUSED = "() => (document.activeElement?.innerText || document.activeElement?.value || '').trim()"


def session(browser, facts):
    """Logs in by a one-time link, with the keyboard; gives the cookies."""
    context = browser.new_context()
    context.set_default_timeout(LIMIT)
    tab = context.new_page()
    tab.goto(facts["base"] + facts["link"])
    activate(tab, r"log in")
    tab.wait_for_url(facts["base"] + "/")
    state = context.storage_state()
    context.close()
    return state


def activate(tab, words, most=200):
    """Presses Tab until something of these words has the focus, then Enter."""
    find(tab, words, most)
    tab.keyboard.press("Enter")


def find(tab, words, most=200):
    for _ in range(most):
        tab.keyboard.press("Tab")
        focused = tab.evaluate(FOCUSED)
        if re.search(words, focused, re.IGNORECASE):
            return
    raise AssertionError(f"{most} presses of Tab find nothing like {words!r} at {tab.url}")


def act(browser, facts, pictures):
    """Every deed of a person, each from a page of its own; what went wrong."""
    login = session(browser, facts)
    wrong = []
    for deed in (understands, starts_and_stops):
        context = browser.new_context(storage_state=login, viewport={"width": 1280, "height": 800})
        context.set_default_timeout(LIMIT)
        tab = context.new_page()
        try:
            deed(tab, facts)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told with a picture
            tab.screenshot(path=pictures / f"hands-{deed.__name__}.png")
            wrong.append(f"{deed.__name__}: {error}\n{tab.url}\n{tab.inner_text('body')[:1500]}")
        context.close()
    return wrong


def understands(tab, facts):
    """From the dashboard to the failing line in two actions."""
    tab.goto(facts["base"] + "/")
    activate(tab, r"^app\b.*#1\b|#1\b.*app")
    tab.wait_for_url(re.compile(r"/(jobs|pipelines/app)/"))
    shown = tab.locator("main").inner_text()
    if facts["failing"] not in shown:
        raise AssertionError("the job's page does not show the failing line")
    activate(tab, r"line \d+|to the (failing )?line|first error")
    line = tab.locator(":target")
    line.wait_for()
    tab.wait_for_function(
        "() => { const box = document.querySelector(':target')?.getBoundingClientRect();"
        " return box && box.top >= 0 && box.bottom <= innerHeight; }"
    )
    if facts["failing"] not in line.inner_text():
        raise AssertionError(f"the link leads to {line.inner_text()!r}")


def starts_and_stops(tab, facts):
    """Starts a job with a param from its pipeline's page, and stops it on its own."""
    tab.goto(f"{facts['base']}/pipelines/{facts['slow']}")
    # The button on top leads to the form; the one of the form starts.
    activate(tab, r"^run ")
    tab.wait_for_url(re.compile("#run$"))
    find(tab, r"staging\s+production")
    tab.keyboard.type("prod")
    activate(tab, r"^run ")
    tab.wait_for_url(re.compile(r"/jobs/|/slow/\d+$"))
    tab.locator("#status", has_text=re.compile("running|pending", re.IGNORECASE)).first.wait_for()
    if "production" not in tab.locator("main").inner_text():
        raise AssertionError("the job's page does not say with which param it was started")
    activate(tab, r"^(cancel|stop)")
    tab.locator("#status", has_text=re.compile("cancelled", re.IGNORECASE)).first.wait_for()
