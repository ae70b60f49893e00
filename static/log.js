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
    document.querySelector(`.steplog[data-step="${step}"][data-attempt="${attempt}"] .log[data-href]`);

  // What a person looks at stays where it is, whatever comes or goes above it.
  function hold(seen, act) {
    const top = seen?.getBoundingClientRect().top;
    act();
    if (seen?.isConnected) scrollBy({ top: seen.getBoundingClientRect().top - top, behavior: "instant" });
  }

  // What people chose stays chosen.
  const TOGGLES = ["times", "wrap"];
  const chosen = {};
  function set(name, root) {
    root.querySelectorAll(".log[data-href]").forEach((log) => log.classList.toggle(name, chosen[name]));
    root.querySelectorAll(`[data-toggle="${name}"]`).forEach((link) => {
      link.setAttribute("role", "button");
      link.setAttribute("aria-pressed", String(chosen[name]));
    });
  }
  for (const name of TOGGLES) {
    const asked = Boolean(document.querySelector(`.log.${name}[data-href]`));
    chosen[name] = asked || localStorage.getItem(`danube-${name}`) === "1";
    set(name, document);
  }
  function toggle(link) {
    const name = link.dataset.toggle;
    chosen[name] = !chosen[name];
    localStorage.setItem(`danube-${name}`, chosen[name] ? "1" : "0");
    hold(link, () => set(name, document));
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-toggle]");
    if (!link) return;
    event.preventDefault();
    toggle(link);
  });
  // A button is pressed by the space bar too.
  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || !event.target.matches?.("[data-toggle][role=button]")) return;
    event.preventDefault();
    toggle(event.target);
  });

  // #s3-L120 and #s3-L120-L140.
  function mark(scroll) {
    const found = ANCHOR.exec(location.hash);
    if (!found) return;
    const [step, from, to] = [found[1], Number(found[2]), Number(found[3] ?? found[2])];
    const [first, last] = [Math.min(from, to), Math.max(from, to)];
    const line = document.getElementById(`s${step}-L${first}`);
    if (!line) {
      const section = document.querySelector(`.steplog[data-step="${step}"]`);
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
    if (list.children.length <= KEEP) return;
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

  function addEarlier(log, fresh) {
    const list = log.querySelector("ol");
    list.prepend(...fresh.querySelectorAll("ol > li"));
    log.dataset.start = fresh.dataset.start;
    takeOver(log, "earlier", fresh);
    let cut;
    while (list.children.length > KEEP) {
      cut = list.lastElementChild.dataset.at;
      list.lastElementChild.remove();
    }
    if (cut === undefined) return;
    log.dataset.end = cut;
    log.dataset.later = "";
    moreLink(log, "later", cut, "show later lines");
  }

  function addLater(log, fresh) {
    log.querySelector("ol").append(...fresh.querySelectorAll("ol > li"));
    log.dataset.end = fresh.dataset.end;
    if (!("later" in fresh.dataset)) delete log.dataset.later;
    takeOver(log, "later", fresh);
    trim(log, "earlier");
  }

  async function load(link) {
    const log = link.closest(".log");
    if (!log || log.busy) return;
    log.busy = true;
    try {
      const earlier = link.classList.contains("earlier");
      const fresh = await fragment(link.href);
      const list = log.querySelector("ol");
      const focused = document.activeElement === link;
      hold(earlier ? list.firstElementChild : list.lastElementChild, () => (earlier ? addEarlier : addLater)(log, fresh));
      mark(false);
      // Who pressed the link by a key goes on from there.
      if (focused) (log.querySelector(`a.${earlier ? "earlier" : "later"}`) ?? log).focus({ preventScroll: true });
    } finally {
      log.busy = false;
    }
    // More was written while the end was away.
    if (log.wanted) grown(log);
  }

  // Links to more lines follow themselves when they come near, once a person has moved.
  let moved = false;
  const eye = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting && moved) load(one.target).catch(() => {});
  }, { rootMargin: "400px" });
  const watch = (root) => {
    for (const name of TOGGLES) set(name, root);
    root.querySelectorAll(".log a.more").forEach((link) => eye.observe(link));
  };
  for (const kind of ["wheel", "touchmove", "scroll"]) {
    addEventListener(kind, () => {
      if (moved) return;
      moved = true;
      document.querySelectorAll(".log a.more").forEach((link) => (eye.unobserve(link), eye.observe(link)));
    }, { passive: true });
  }
  watch(document);
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
  // page ends. So nothing is lost or doubled, whatever breaks. A closed log is fetched when it is opened.
  async function grow(step, attempt, length) {
    const log = boxOf(step, attempt);
    if (!log) return;
    log.wanted = Math.max(log.wanted ?? 0, length);
    await grown(log);
  }

  async function grown(log) {
    const closed = log.closest("details:not([open])");
    if (log.growing || closed || "later" in log.dataset) return;
    log.growing = true;
    try {
      while (Number(log.dataset.end) < log.wanted && log.isConnected && !("later" in log.dataset)) {
        const from = log.dataset.end;
        const fresh = await fragment(`${log.dataset.href}&at=${from}`);
        if (log.dataset.end !== from) continue;
        // Half a line: what follows will tell.
        if (fresh.dataset.end === from) break;
        const list = log.querySelector("ol");
        // Who reads the end goes on reading the end; who reads elsewhere is left there.
        const bottom = list.getBoundingClientRect().bottom;
        const follows = scrollY > 0 && bottom > 0 && bottom < innerHeight + 40;
        const seen = follows ? null : document.elementFromPoint(innerWidth / 3, innerHeight / 2);
        hold(seen, () => {
          addLater(log, fresh);
          log.querySelector(".none")?.remove();
        });
        if (follows) scrollBy({ top: list.getBoundingClientRect().bottom - bottom, behavior: "instant" });
        await new Promise((done) => setTimeout(done, 100));
      }
    } finally {
      log.growing = false;
    }
  }
  document.addEventListener("toggle", (event) => {
    const log = event.target.open && event.target.querySelector?.(".log[data-href]");
    if (log?.wanted) grown(log).catch(() => {});
  }, true);

  window.danubeLog = { grow, hold, watch };
})();
