// Follows a job: steps and state are taken from a fresh copy of the page; log.js adds the lines.
// The page is whole without this file.
"use strict";
(() => {
  const job = document.querySelector("[data-events]");
  if (!job) return;

  const section = (step) => document.querySelector(`details[data-step="${step}"]`);
  const grow = (event) => window.danubeLog?.grow(event.step, event.attempt, event.offset + event.length).catch(() => {});

  let due = 0;
  function refresh() {
    if (due || !document.getElementById("steps") && !document.getElementById("logs")) return;
    due = setTimeout(async () => {
      due = 0;
      const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const now of document.querySelectorAll("#status, #steps, [data-live][id]")) {
        const then = fresh.getElementById(now.id);
        if (then) now.replaceWith(then);
      }
      if (!document.getElementById("steps")) {
        const then = fresh.getElementById("steps");
        if (then) document.querySelector(".side > .panel > p")?.replaceWith(then);
      }
      for (const log of fresh.querySelectorAll("details.steplog")) {
        const here = section(log.dataset.step);
        if (!here) document.getElementById("logs").append(log);
        else if (here.dataset.attempt !== log.dataset.attempt) here.replaceWith(log);
        else here.querySelector("summary").replaceWith(log.querySelector("summary"));
      }
    }, 300);
  }

  let last = "";
  let wait = 1000;
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
      if (document.getElementById("logs") && (!here || Number(here.dataset.attempt) < event.attempt)) refresh();
      grow(event);
    }));
    events.addEventListener("end", () => {
      events.close();
      location.reload();
    });
    // A refusal (too many followers) ends an EventSource for good; a break does not.
    events.addEventListener("error", () => {
      if (events.readyState !== EventSource.CLOSED) return;
      setTimeout(follow, wait);
      wait = Math.min(wait * 2, 30000);
    });
  }
  follow();
})();
