// A log's page parts: times and wrapping on and off, lines and ranges in the address, earlier and later
// lines as one scrolls, and new lines of a running step. Every line is rendered by the server.
"use strict";
(() => {
  const KEEP = 3000; // lines of one step that stay in the page
  const ANCHOR = /^#s(\d+)-L(\d+)(?:-L(\d+))?$/;

  const fragment = async (href) => {
    const answer = await fetch(href.replace("/log?", "/log/lines?"), { headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(String(answer.status));
    return new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".log");
  };
  const boxOf = (step, attempt) =>
    document.querySelector(`[data-step="${step}"][data-attempt="${attempt}"] .log[data-href]`);

  // What people chose stays chosen.
  for (const name of ["times", "wrap"]) {
    const set = (on) => {
      document.querySelectorAll(".log[data-href]").forEach((log) => log.classList.toggle(name, on));
      document.querySelectorAll(`[data-toggle="${name}"]`).forEach((link) => {
        link.setAttribute("role", "button");
        link.setAttribute("aria-pressed", String(on));
      });
    };
    const chosen = localStorage.getItem(`danube-${name}`);
    const shown = document.querySelector(".log[data-href]");
    if (shown) set(chosen ? chosen === "1" || shown.classList.contains(name) : shown.classList.contains(name));
    document.addEventListener("click", (event) => {
      const link = event.target.closest?.(`[data-toggle="${name}"]`);
      if (!link) return;
      event.preventDefault();
      const on = link.getAttribute("aria-pressed") !== "true";
      localStorage.setItem(`danube-${name}`, on ? "1" : "0");
      set(on);
    });
  }

  // #s3-L120 and #s3-L120-L140.
  function mark(scroll) {
    const found = ANCHOR.exec(location.hash);
    if (!found) return;
    const [step, from, to] = [found[1], Number(found[2]), Number(found[3] ?? found[2])];
    const [first, last] = [Math.min(from, to), Math.max(from, to)];
    const line = document.getElementById(`s${step}-L${first}`);
    if (!line) {
      const section = document.querySelector(`[data-step="${step}"]`);
      const at = new URLSearchParams(location.search).get("line");
      if (section && at !== `${first}-${last}` && scroll) {
        const log = section.querySelector(".log[data-href]");
        location.replace(`${log.dataset.href}&line=${first}-${last}${location.hash}`);
      }
      return;
    }
    document.querySelectorAll(".log li.hit").forEach((old) => old.classList.remove("hit"));
    for (let n = first; n <= last && n < first + KEEP; n++) {
      document.getElementById(`s${step}-L${n}`)?.classList.add("hit");
    }
    line.closest("details")?.setAttribute("open", "");
    if (scroll) line.scrollIntoView({ block: "center" });
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.(".log li > a");
    const next = link && ANCHOR.exec(link.getAttribute("href"));
    if (!next) return;
    event.preventDefault();
    const now = ANCHOR.exec(location.hash);
    const hash = event.shiftKey && now && now[1] === next[1] ? `#s${now[1]}-L${now[2]}-L${next[2]}` : next[0];
    history.replaceState(null, "", hash);
    mark(false);
  });
  addEventListener("hashchange", () => mark(true));
  mark(true);

  const moreLink = (log, kind, at, text) => {
    let link = log.querySelector(`a.${kind}`);
    if (!link) {
      link = document.createElement("a");
      link.className = `more ${kind}`;
      kind === "earlier" ? log.querySelector("ol").before(link) : log.querySelector("ol").after(link);
      eye.observe(link);
    }
    link.href = `${log.dataset.href}&${kind === "earlier" ? "before" : "at"}=${at}`;
    link.textContent = text;
  };

  // Lines at one end go when lines come at the other; a link leads back to them.
  function trim(log, kind) {
    const list = log.querySelector("ol");
    while (list.children.length > KEEP) {
      (kind === "earlier" ? list.firstElementChild : list.lastElementChild).remove();
    }
    if (kind === "earlier") {
      log.dataset.start = list.firstElementChild.dataset.at;
      moreLink(log, "earlier", log.dataset.start, "show earlier lines");
    }
  }

  function takeOver(log, kind, fresh) {
    const link = log.querySelector(`a.${kind}`);
    const other = fresh.querySelector(`a.${kind}`);
    if (link && other) link.replaceWith(other), eye.observe(other);
    else if (link) link.remove();
    else if (other) (kind === "earlier" ? log.querySelector("ol").before(other) : log.querySelector("ol").after(other)), eye.observe(other);
  }

  async function load(link) {
    const log = link.closest(".log");
    if (!log || log.busy) return;
    log.busy = true;
    try {
      const kind = link.classList.contains("earlier") ? "earlier" : "later";
      const fresh = await fragment(link.href);
      const list = log.querySelector("ol");
      const lines = [...fresh.querySelectorAll("ol > li")];
      if (kind === "earlier") {
        list.prepend(...lines);
        log.dataset.start = fresh.dataset.start;
        while (list.children.length > KEEP) {
          const last = list.lastElementChild;
          log.dataset.end = last.dataset.at;
          log.dataset.later = "";
          last.remove();
          log.cutAt = log.dataset.end;
        }
        takeOver(log, "earlier", fresh);
        if (log.cutAt) moreLink(log, "later", log.cutAt, "show later lines"), (log.cutAt = undefined);
      } else {
        list.append(...lines);
        log.dataset.end = fresh.dataset.end;
        if (!("later" in fresh.dataset)) delete log.dataset.later;
        takeOver(log, "later", fresh);
        if (list.children.length > KEEP) trim(log, "earlier");
      }
    } finally {
      log.busy = false;
    }
  }

  const eye = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting && scrolled) load(one.target).catch(() => {});
  }, { rootMargin: "400px" });
  let scrolled = false;
  addEventListener("scroll", () => (scrolled = true), { once: true, passive: true });
  document.querySelectorAll(".log a.more").forEach((link) => eye.observe(link));
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.(".log a.more");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    load(link).catch(() => location.assign(link.href));
  });

  // A log that was too long to count at once: counted now, without anybody waiting.
  document.querySelectorAll(".log a.number").forEach(async (link) => {
    const log = link.closest(".log");
    try {
      const fresh = await fragment(link.href);
      log.querySelector("ol").replaceWith(fresh.querySelector("ol"));
      log.dataset.end = fresh.dataset.end;
      link.closest("p").remove();
      takeOver(log, "earlier", fresh);
      takeOver(log, "later", fresh);
    } catch {
      // The link stays.
    }
  });

  // The end of a running log: the server says how long it is, and the lines are fetched from where the
  // page ends. So nothing is lost or doubled, whatever breaks.
  async function grow(step, attempt, length) {
    const log = boxOf(step, attempt);
    if (!log || "later" in log.dataset) return;
    log.wanted = Math.max(log.wanted ?? 0, length);
    if (log.growing) return;
    log.growing = true;
    try {
      let idle = 0;
      while (Number(log.dataset.end) < log.wanted && log.isConnected && idle < 2) {
        const from = log.dataset.end;
        const fresh = await fragment(`${log.dataset.href}&at=${from}`);
        if (log.dataset.end !== from) continue;
        idle = fresh.dataset.end === from ? idle + 1 : 0;
        if (idle) break;
        const near = innerHeight + scrollY > document.body.scrollHeight - 120;
        log.querySelector("ol").append(...fresh.querySelectorAll("ol > li"));
        log.dataset.end = fresh.dataset.end;
        log.querySelector(".none")?.remove();
        if (log.querySelector("ol").children.length > KEEP) trim(log, "earlier");
        if (near && log.offsetParent) scrollTo(0, document.body.scrollHeight);
        await new Promise((done) => setTimeout(done, 100));
      }
    } finally {
      log.growing = false;
    }
  }

  window.danubeLog = { grow, marks: () => mark(false) };
})();
