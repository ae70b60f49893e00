// Everything that a person can act on, in the order of the document, and a note of each that gets the focus.
(() => {
  const seen = (el) => el.checkVisibility({ visibilityProperty: true, opacityProperty: false });
  const groups = new Set();
  const one = (el) => {
    if (el.type !== "radio" || !el.name) return true;
    const group = [...document.querySelectorAll(`input[type=radio][name="${CSS.escape(el.name)}"]`)];
    if (el !== (group.find((other) => other.checked) ?? group[0]) || groups.has(el.name)) return false;
    groups.add(el.name);
    return true;
  };
  const doors = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]";
  window.__doors = [...document.querySelectorAll(doors)].filter(
    (el) => !el.disabled && el.tabIndex >= 0 && !el.closest("[inert]") && seen(el) && one(el),
  );
  window.__visits = [];
  const told = (el) => `${el.localName} ${JSON.stringify((el.textContent || el.name || "").trim().slice(0, 40))}`;
  const visit = (target) => {
    const style = getComputedStyle(target);
    const ring = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
    const scrolls = target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight;
    window.__visits.push({ n: window.__doors.indexOf(target), told: told(target), ring, scrolls });
  };
  document.addEventListener("focusin", ({ target }) => visit(target));
  // A form may have the focus from the start; Tab goes on from there.
  if (window.__doors.includes(document.activeElement)) visit(document.activeElement);
  const never = [...document.querySelectorAll("a:not([href]), [role=button], [role=link], [onclick]")].filter(
    (el) => seen(el) && el.tabIndex < 0,
  );
  const first = [...document.querySelectorAll("[tabindex]")].filter((el) => el.tabIndex > 0);
  return { doors: window.__doors.length, never: never.map(told), first: first.map(told) };
})()
