// Follows a job: new log lines are added, steps and state are taken from a fresh copy of the page.
// The page is whole without this file.
"use strict";
(() => {
  const job = document.querySelector("[data-events]");
  if (!job) return;

  const KEEP = 4000; // lines of one step that stay in the page
  const HOLD = 200; // log events kept for a step that the page does not show yet
  const early = new Map();
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();

  const section = (step) => document.querySelector(`details[data-step="${step}"]`);

  // Colours and cursor moves are not shown; neither is any other control character.
  const plain = (line) =>
    line
      .replace(/\r+$/, "")
      .replace(/^.*\r/, "")
      .replace(/\u001b(\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(\u0007|\u001b\\)?|[@-_])/g, "")
      .replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, "");

  const bytesOf = (event) =>
    event.text !== undefined
      ? encoder.encode(event.text)
      : Uint8Array.from(atob(event.base64), (c) => c.charCodeAt(0));

  function addLine(log, list, text) {
    const number = Number(log.dataset.next);
    const step = log.dataset.step;
    const item = document.createElement("li");
    item.id = `s${step}-L${number}`;
    const link = document.createElement("a");
    link.href = `#${item.id}`;
    link.textContent = String(number);
    const span = document.createElement("span");
    span.textContent = plain(text);
    item.append(link, span);
    list.append(item);
    log.dataset.next = String(number + 1);
    if (list.children.length > KEEP) list.firstElementChild.remove();
  }

  function append(event) {
    const log = section(event.step);
    if (!log) {
      const held = early.get(event.step) ?? [];
      if (held.length < HOLD) held.push(event);
      early.set(event.step, held);
      refresh();
      return;
    }
    if (Number(log.dataset.attempt) !== event.attempt || log.dataset.tail === "no") {
      if (event.attempt > Number(log.dataset.attempt)) refresh();
      return;
    }
    const end = Number(log.dataset.end);
    if (event.offset + event.length <= end || event.offset > end) return;
    const bytes = bytesOf(event).subarray(end - event.offset);
    log.dataset.end = String(event.offset + event.length);
    const list = log.querySelector("ol");
    const near = window.innerHeight + window.scrollY > document.body.scrollHeight - 120;
    const lines = ((log.held ?? "") + decoder.decode(bytes)).split("\n");
    log.held = lines.pop();
    if (log.held.length > 65536) lines.push(log.held), (log.held = "");
    for (const line of lines) addLine(log, list, line);
    log.querySelector(".none")?.remove();
    if (near && log.open) window.scrollTo(0, document.body.scrollHeight);
  }

  let due = 0;
  function refresh() {
    if (due) return;
    due = setTimeout(async () => {
      due = 0;
      const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const id of ["status", "steps"]) {
        const now = document.getElementById(id);
        const then = fresh.getElementById(id);
        if (now && then) now.replaceWith(then);
        else if (then && id === "steps") document.querySelector(".side > .panel > p")?.replaceWith(then);
      }
      for (const log of fresh.querySelectorAll("details.steplog")) {
        const here = section(log.dataset.step);
        if (!here) document.getElementById("logs").append(log);
        else if (here.dataset.attempt !== log.dataset.attempt) here.replaceWith(log);
        else here.querySelector("summary").replaceWith(log.querySelector("summary"));
        const held = early.get(Number(log.dataset.step)) ?? [];
        early.delete(Number(log.dataset.step));
        held.forEach(append);
      }
    }, 300);
  }

  const events = new EventSource(job.dataset.events);
  events.addEventListener("state", refresh);
  events.addEventListener("log", (message) => append(JSON.parse(message.data)));
  events.addEventListener("end", () => {
    events.close();
    location.reload();
  });
})();
