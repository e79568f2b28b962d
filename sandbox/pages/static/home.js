// Comfort only: the page works without this file. It looks again every two seconds, and puts new parts in the place of
// old ones; what a person has opened, focused or begun to type stays.
"use strict";

const EVERY_MS = 2000;
const pause = document.querySelector(".pause");
const shown = new Map();
let paused = false;

function isDirty(part) {
  return [...part.querySelectorAll("input, select")].some((control) => {
    if (control === document.activeElement) return true;
    if (control.type === "checkbox") return control.checked !== control.defaultChecked;
    if (control.options) {
      const chosen = [...control.options].findIndex((option) => option.defaultSelected);
      return control.selectedIndex !== Math.max(chosen, 0);
    }
    return control.value !== control.defaultValue;
  });
}

function replace(part, fresh) {
  const opened = [...part.querySelectorAll("details[open]")].map((details) => details.dataset.key);
  const focused = part.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const scrolled = [...part.querySelectorAll(".scroll")].map((region) => region.scrollLeft);
  part.innerHTML = fresh.innerHTML;
  part.querySelectorAll("details").forEach((details) => { details.open = opened.includes(details.dataset.key); });
  part.querySelectorAll(".scroll").forEach((region, place) => { region.scrollLeft = scrolled[place] || 0; });
  if (focused) part.querySelector(`[data-key="${focused}"]`)?.focus();
}

function show(html, owner) {
  const page = new DOMParser().parseFromString(html, "text/html");
  document.querySelectorAll("[data-live]").forEach((part) => {
    const fresh = page.getElementById(part.id);
    const own = owner && (part === owner || part.contains(owner));
    if (!fresh || fresh.innerHTML === shown.get(part.id) || (isDirty(part) && !own)) return;
    if (fresh.innerHTML !== part.innerHTML) replace(part, fresh);
    shown.set(part.id, fresh.innerHTML);
  });
}

async function look() {
  if (!paused && document.visibilityState === "visible") {
    try {
      const answer = await fetch("/");
      if (answer.ok) show(await answer.text());
    } catch {
      // The sandbox is away; the next look will tell.
    }
  }
  setTimeout(look, EVERY_MS);
}

// A button is pressed without leaving the page; one that leads elsewhere is left to the browser.
document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (submitter?.hasAttribute("data-leaves")) return;
  event.preventDefault();
  const answer = await fetch("/", { method: "POST", body: new URLSearchParams(new FormData(form, submitter)) });
  show(await answer.text(), form);
  document.querySelector("#error [role=alert]")?.scrollIntoView({ block: "center" });
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});

document.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = false; });
pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
});
setTimeout(look, EVERY_MS);
