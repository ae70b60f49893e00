// What is wrong with the page as it is now, by eye: size, structure, and whether a text became more than text.
(() => {
  const wrong = [];
  const name = (el) => {
    const id = el.id ? `#${el.id}` : "";
    const classes = typeof el.className === "string" && el.className ? `.${el.className.trim().replace(/\s+/g, ".")}` : "";
    return `${el.localName}${id}${classes} ${JSON.stringify((el.textContent ?? "").trim().slice(0, 40))}`;
  };
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width)
    wrong.push(`the page is ${document.documentElement.scrollWidth} px wide in a window of ${width}`);

  const clipped = (el) => {
    for (let up = el.parentElement; up && up !== document.body; up = up.parentElement) {
      const overflow = getComputedStyle(up).overflowX;
      if (overflow !== "visible") return true;
    }
    return false;
  };
  let out = 0;
  for (const el of document.body.querySelectorAll("*")) {
    if (el.ownerSVGElement) continue;
    const box = el.getBoundingClientRect();
    // What lies wholly to the left is hidden on purpose: a skip link before it has the focus.
    if (!box.width || !box.height || box.right <= 0 || (box.right <= width + 1 && box.left >= -1)) continue;
    if (clipped(el)) continue;
    if (out++ < 3) wrong.push(`sticks out of the window (${Math.round(box.left)}–${Math.round(box.right)}): ${name(el)}`);
  }

  if (!document.title.trim()) wrong.push("no title");
  const heads = [...document.querySelectorAll("h1")];
  if (heads.length !== 1 || !heads[0].textContent.trim()) wrong.push(`${heads.length} headings of level 1, want one with text`);

  for (const el of document.querySelectorAll("*")) {
    for (const { name: key, value } of el.attributes) {
      if (key.startsWith("on")) wrong.push(`a handler became real: ${key} of ${name(el)}`);
      if (["href", "src", "action", "formaction", "srcdoc", "xlink:href"].includes(key)) {
        const target = value.trim().toLowerCase();
        if (/^(javascript|data|vbscript):/.test(target)) wrong.push(`${key}=${target.slice(0, 60)}`);
        if (URL.canParse(value, location) && new URL(value, location).hostname.endsWith("evil.example.com")) wrong.push(`leads to a stranger: ${key}=${target.slice(0, 60)}`);
      }
    }
    if (["iframe", "object", "embed", "base"].includes(el.localName)) wrong.push(`an element that no page has: ${name(el)}`);
  }
  return wrong.concat(window.__wrong ?? []);
})()
