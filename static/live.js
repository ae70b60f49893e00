// Follows a job: its state and steps are taken from a fresh copy of the page; log.js adds the lines.
// The page is whole without this file.
"use strict";
(() => {
  const job = document.querySelector("[data-events]");
  if (!job) return;
  const EVERY = 5000; // bars of what runs grow this often
  const PARTS = ["title", "status", "meta", "acts", "news", "steps", "outcome"];
  const known = new Map();
  const whole = Boolean(document.getElementById("steps"));
  const log = window.danubeLog;

  const section = (step) => document.querySelector(`.steplog[data-step="${step}"]`);
  const grow = (step, attempt, length) => log?.grow(step, attempt, length).catch(() => {});

  // A part is exchanged where it changed; what had the focus keeps it.
  function exchange(now, then) {
    if (!now || !then) return;
    const said = then.outerHTML;
    const before = known.get(now) ?? now.outerHTML;
    if (said === before) return;
    known.delete(now);
    known.set(then, said);
    const focus = now.contains(document.activeElement) ? document.activeElement : null;
    now.replaceWith(then);
    const same = (el) => el.getAttribute("href") === focus.getAttribute("href");
    if (focus) [...then.querySelectorAll(focus.localName)].find(same)?.focus({ preventScroll: true });
  }

  function take(fresh) {
    document.title = fresh.title;
    for (const id of PARTS) exchange(document.getElementById(id), fresh.getElementById(id));
    for (const then of fresh.querySelectorAll(".steplog")) {
      const here = section(then.dataset.step);
      if (!here) document.getElementById("logs").append(then), log?.watch(then);
      else if (here.dataset.attempt !== then.dataset.attempt) here.replaceWith(then), log?.watch(then);
      else {
        exchange(here.querySelector("summary"), then.querySelector("summary"));
        exchange(here.querySelector(".firsterror"), then.querySelector(".firsterror"));
      }
      // The last line of a step has no end of line before the step has ended: no event tells of it.
      grow(then.dataset.step, then.dataset.attempt, Number(then.querySelector(".log[data-end]").dataset.end));
    }
    window.danube?.dress(document);
  }

  let due = 0;
  let asking = false;
  let again = false;
  function refresh() {
    if (!whole || due) return;
    due = setTimeout(async () => {
      due = 0;
      again = asking;
      if (asking) return;
      asking = true;
      try {
        const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
        if (!answer.ok) return;
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        const seen = document.elementFromPoint(innerWidth / 3, innerHeight / 2);
        log ? log.hold(seen, () => take(fresh)) : take(fresh);
      } catch {
        // The server is away; the next event asks again.
      } finally {
        asking = false;
        if (again) (again = false), refresh();
      }
    }, 300);
  }

  let last = "";
  let wait = 1000;
  let over = false;
  function follow() {
    const address = new URL(job.dataset.events, location.href);
    address.searchParams.set("logs", "offsets");
    if (last) address.searchParams.set("after", last);
    const events = new EventSource(address);
    const seen = (act) => (message) => {
      last = message.lastEventId || last;
      wait = 1000;
      act(message);
    };
    events.addEventListener("state", seen(refresh));
    events.addEventListener("log", seen((message) => {
      const event = JSON.parse(message.data);
      const here = section(event.step);
      if (!here || Number(here.dataset.attempt) < event.attempt) refresh();
      grow(event.step, event.attempt, event.offset + event.length);
    }));
    // Nobody is thrown to another place: the page stays, and says what is final.
    events.addEventListener("end", () => {
      over = true;
      events.close();
      refresh();
      if (!whole) document.querySelectorAll(".steplog").forEach((one) => grow(one.dataset.step, one.dataset.attempt, Infinity));
    });
    // A refusal (too many followers) ends an EventSource for good; a break does not.
    events.addEventListener("error", () => {
      if (events.readyState !== EventSource.CLOSED || over) return;
      setTimeout(follow, wait);
      wait = Math.min(wait * 2, 30000);
    });
  }
  follow();
  setInterval(() => {
    if (!over && !document.hidden) refresh();
  }, EVERY);
})();
