"""Reads logs as a person does: follows one that grows, scrolls through a long one, points at lines, searches."""

import re

import hands

# The numbers and texts of the lines of a step that are in the page.
LINES = """(step) => [...document.querySelectorAll(`.steplog[data-step="${step}"] .log ol > li`)]
  .map((line) => [Number(line.querySelector('a').textContent), line.lastElementChild.textContent])"""

# The most lines of one step that stay in the page (static/log.js).
KEEP = 3000


def act(browser, facts, pictures):
    """Every deed, each on a page of its own; what went wrong."""
    login = hands.session(browser, facts)
    wrong = []
    for deed in (follows, scrolls, points, chooses, searches):
        context = browser.new_context(storage_state=login, viewport={"width": 1280, "height": 800})
        context.set_default_timeout(hands.LIMIT)
        tab = context.new_page()
        said = []
        tab.on("pageerror", lambda error, said=said: said.append(f"an error of a script: {error}"))
        tab.on("console", lambda line, said=said: said.append(line.text) if line.type in ("error", "warning") else None)
        try:
            deed(tab, facts)
            assert not said, said
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told with a picture
            tab.screenshot(path=pictures / f"logs-{deed.__name__}.png")
            wrong.append(f"{deed.__name__}: {error}\n{tab.url}\n{said}\n{tab.inner_text('main')[:600]}")
        context.close()
    return wrong


def in_order(tab, step, texts=None):
    """The lines of a step follow each other, none twice and none left out."""
    lines = tab.evaluate(LINES, step)
    numbers = [number for number, _ in lines]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers
    if texts is not None:
        shown = [text for _, text in lines if text.startswith(texts)]
        assert shown == [f"{texts}{n + 1}" for n in range(len(shown))], shown
    return lines


def follows(tab, facts):
    """New lines come by themselves, once and in order, also over a reload; the end changes no place."""
    tab.goto(f"{facts['base']}/pipelines/{facts['slow']}")
    tab.get_by_role("button", name=re.compile("^run", re.IGNORECASE)).click()
    tab.wait_for_url(re.compile(r"/jobs/|/slow/\d+$"))
    shown = "([step, n]) => document.querySelectorAll(`.steplog[data-step='${step}'] .log li`).length > n"
    tab.wait_for_function(shown, arg=[1, 20])
    before = len(in_order(tab, 1, "grows "))
    tab.wait_for_function(shown, arg=[1, before + 10])
    in_order(tab, 1, "grows ")
    tab.reload()
    tab.wait_for_function(shown, arg=[1, before + 20])
    in_order(tab, 1, "grows ")
    tab.evaluate("window.stayed = true")
    tab.locator("#status .state.success").wait_for()
    tab.wait_for_function(
        "() => document.querySelector('.steplog[data-step=\"1\"] ol').textContent.includes('no end of line')"
    )
    lines = in_order(tab, 1, "grows ")
    assert [text for _, text in lines][-2:] == [f"grows {facts['grows']}", "no end of line"], lines[-3:]
    assert tab.evaluate("window.stayed"), "the page was loaded again at the end of the job"
    # A step that did not exist when the page was opened.
    assert "came later" in tab.locator("#logs .steplog[data-step='2']").text_content()
    tab.locator("#acts button", has_text="Run again").wait_for()


def log(facts, more=""):
    return f"{facts['base']}/jobs/{facts['job']}/log?step=1{more}"


def scrolls(tab, facts):
    """Earlier lines come as one scrolls up, later ones as one scrolls down, and the page stays small."""
    tab.goto(log(facts))
    last = in_order(tab, 1)[-1]
    first = f"Number(document.querySelector({'.log ol > li > a'!r}).textContent)"
    for _ in range(8):
        top = tab.evaluate(first)
        tab.evaluate("scrollTo(0, 0)")
        tab.mouse.move(600, 400)
        tab.mouse.wheel(0, -200)
        tab.wait_for_function(f"(top) => {first} < top", arg=top)
        assert len(in_order(tab, 1)) <= KEEP
    assert in_order(tab, 1)[-1][0] < last[0], "the other end stays in the page for ever"
    while in_order(tab, 1)[-1] != last:
        end = in_order(tab, 1)[-1][0]
        tab.evaluate("scrollTo(0, document.body.scrollHeight)")
        tab.wait_for_function(
            "(end) => Number([...document.querySelectorAll('.log ol > li > a')].at(-1).textContent) > end", arg=end
        )
        assert len(in_order(tab, 1)) <= KEEP


def points(tab, facts):
    """A line, and a range of lines, are in the address, and an address leads there."""
    tab.goto(log(facts, "&line=5000#s1-L5000"))
    seen(tab, "s1-L5000")
    tab.locator("#s1-L5003 > a").click(modifiers=["Shift"])
    assert tab.url.endswith("#s1-L5000-L5003"), tab.url
    for address in (tab.url, log(facts, "#s1-L700-L703"), f"{facts['base']}/jobs/{facts['job']}#s1-L900-L903"):
        tab.goto("about:blank")
        tab.goto(address)
        at = int(address.rsplit("-L", 2)[1])
        seen(tab, f"s1-L{at}")
        marked = tab.evaluate("[...document.querySelectorAll('.log li.hit')].map((line) => line.id)")
        assert marked == [f"s1-L{n}" for n in range(at, at + 4)], (address, marked)


def seen(tab, line):
    tab.wait_for_function(
        "(id) => { const box = document.getElementById(id)?.getBoundingClientRect();"
        " return box && box.top >= 0 && box.bottom <= innerHeight; }",
        arg=line,
    )


def chooses(tab, facts):
    """Times and wrapping go on and off by keyboard, stay so, and are never copied."""
    tab.goto(log(facts))
    classes = "document.querySelector('.log[data-href]').className"
    for name in ("times", "wrap"):
        tab.locator(f"[data-toggle={name}]").focus()
        tab.keyboard.press("Space")
        assert name in tab.evaluate(classes), name
    tab.reload()
    assert tab.evaluate(classes).split() == ["log", "times", "wrap"]
    copied = tab.evaluate(
        "() => { getSelection().selectAllChildren(document.querySelector('.log ol'));"
        " return getSelection().toString(); }"
    )
    assert copied.splitlines()[-1] == tab.evaluate(LINES, 1)[-1][1], copied[-200:]
    for name in ("times", "wrap"):
        tab.locator(f"[data-toggle={name}]").focus()
        tab.keyboard.press("Enter")
    assert tab.evaluate(classes).split() == ["log"]


def searches(tab, facts):
    """All of a log is searched, what is found leads to its line; the first error is one action away."""
    tab.goto(log(facts))
    tab.keyboard.press("/")
    tab.keyboard.type("line 777")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**q=line*777*")
    assert "11 lines found" in tab.get_by_role("status").inner_text()
    hands.activate(tab, r"^\S.*, line \d+$")
    tab.wait_for_url("**#s1-L*")
    tab.locator(".log li.hit").wait_for()
    assert "line 777" in tab.locator(".log li.hit").inner_text()
    tab.get_by_role("link", name="first error").click()
    tab.wait_for_url("**line=*#s1-L*")
    tab.locator(".log li.hit").wait_for()
    assert facts["failing"] in tab.locator(".log li.hit").inner_text()
