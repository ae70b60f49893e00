// What pages gain by a script: copying, clocks that go on, lists that follow. Every page is whole without it.
"use strict";
(() => {
  // A button on whatever is there to be copied.
  const dress = (root) => {
    for (const code of root.querySelectorAll("pre.code")) {
      if (code.parentElement.classList.contains("copy")) continue;
      const box = document.createElement("div");
      box.className = "copy";
      code.before(box);
      const button = document.createElement("button");
      button.type = "button";
      button.className = "btn small";
      button.textContent = "Copy";
      box.append(code, button);
    }
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.(".copy > button");
    const menu = document.querySelector("details.menu[open]");
    if (menu && !menu.contains(event.target)) menu.open = false;
    if (!button) return;
    const code = button.parentElement.querySelector(".code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      // Without TLS the clipboard is closed to scripts: the text is selected instead.
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });

  document.addEventListener("keydown", (event) => {
    const menu = document.querySelector("details.menu[open]");
    if (event.key === "Escape" && menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      // A page's own search comes before the one of the head.
      const field = document.querySelector("main input[type=search]") ?? document.getElementById("find");
      if (!field) return;
      event.preventDefault();
      field.focus();
      field.select();
    }
  });

  // The same words as the server's.
  const lasted = (seconds) => {
    const two = (n) => String(n).padStart(2, "0");
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
    return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
  };
  // The server's clock, not this machine's: how long the page has been here is added to what it said.
  const tick = () => {
    for (const clock of document.querySelectorAll("[data-seconds]")) {
      clock.from ??= performance.now() - Number(clock.dataset.seconds) * 1000;
      const seconds = Math.floor((performance.now() - clock.from) / 1000);
      if (clock.localName === "progress") clock.value = Math.min(seconds, clock.max);
      else clock.textContent = lasted(seconds);
    }
  };

  // A part of the page that follows: fetched again, and exchanged only where it changed.
  const EVERY = 4000;
  const target = (el) => el.getAttribute("href") ?? el.form?.getAttribute("action") ?? el.textContent;
  const alike = (root, one) => [...root.querySelectorAll("a[href], button")].filter((el) => target(el) === target(one));
  let tag = document.querySelector("[data-live]")?.dataset.live ?? "";
  const follow = async () => {
    const part = document.querySelector("[data-live]");
    if (!part || document.hidden) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html", "if-none-match": tag }, cache: "no-store" }).catch(() => null);
    if (!answer || answer.status !== 200 || answer.redirected) return;
    tag = answer.headers.get("etag") ?? "";
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
    if (!fresh) return;
    const focus = part.contains(document.activeElement) ? document.activeElement : null;
    const at = focus ? alike(part, focus).indexOf(focus) : -1;
    dress(fresh);
    part.replaceWith(document.adoptNode(fresh));
    if (focus) alike(fresh, focus).at(at)?.focus({ preventScroll: true });
  };

  dress(document);
  window.danube = { dress };
  tick();
  setInterval(tick, 1000);
  if (document.querySelector("[data-live]")) {
    setInterval(follow, EVERY);
    document.addEventListener("visibilitychange", follow);
  }
})();
