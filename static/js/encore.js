// Courtesy only: every page works without this file, and the database refuses what a browser gets wrong.
(() => {
  "use strict";
  const STATUS_EVERY_MS = 3000;
  const STATUS_TRIES = 20;
  const live = () => document.getElementById("live");

  // A pressed pay button says so; what it said before comes back with the page or with the answer.
  const busy = (form, isBusy) => {
    const button = form.querySelector?.("button[data-busy]");
    if (!button) return;
    button.dataset.words ??= button.textContent;
    button.textContent = isBusy ? button.dataset.busy : button.dataset.words;
  };

  // The step on the page: named after its state, which `main` repeats.
  const step = () => document.querySelector("main > section[id]:not(#offers-settled)");
  let shown = "";

  // A poll that brings nothing new moves nothing; an act's answer takes focus, the next offer's too.
  const settle = (event) => {
    const root = step();
    if (!root || (root.id === shown && event.detail?.ctx?.request?.method !== "POST")) return;
    shown = root.id;
    document.getElementById("main").dataset.pageState = root.dataset.step ?? root.id.slice(root.id.indexOf("-") + 1);
    root.querySelector("h1")?.focus();
  };

  // After a lost connection only questions are asked: nothing is ever sent a second time.
  const ask = (path, tries) => {
    const root = step();
    if (!root || tries === 0) return;
    fetch(path, { headers: { "HX-Request": "true", "HX-Request-Type": "partial" }, cache: "no-store" })
      .then((answer) => (answer.ok ? location.reload() : Promise.reject(answer.status)))
      .catch(() => setTimeout(() => ask(path, tries - 1), STATUS_EVERY_MS));
  };

  document.addEventListener("htmx:before:request", (event) => busy(event.target, true));
  document.addEventListener("htmx:finally:request", (event) => busy(event.target, false));
  document.addEventListener("htmx:after:swap", settle);
  document.addEventListener("htmx:error", (event) => {
    const path = event.detail?.ctx?.request?.action;
    const instance = path?.match(/^\/(o|quotes)\/[^/]+/)?.[0];
    if (live()) live().textContent = live().dataset.lost;
    live()?.classList.remove("unseen");
    ask(instance ? `${instance}/status` : location.pathname, STATUS_TRIES);
  });

  // Light, dark, or as the system says: kept in this browser only, set before the first paint.
  const SCHEMES = ["auto", "light", "dark"];
  const scheme = (wanted) => {
    try {
      if (wanted) localStorage.setItem("scheme", wanted);
      const kept = localStorage.getItem("scheme");
      return SCHEMES.includes(kept) ? kept : "auto";
    } catch {
      return wanted ?? "auto";
    }
  };
  document.documentElement.dataset.scheme = scheme();

  document.addEventListener("DOMContentLoaded", () => {
    shown = step()?.id ?? "";
    const button = document.getElementById("scheme");
    const tell = () => (button.textContent = button.dataset[document.documentElement.dataset.scheme]);
    button.hidden = false;
    button.addEventListener("click", () => {
      const next = SCHEMES[(SCHEMES.indexOf(document.documentElement.dataset.scheme) + 1) % SCHEMES.length];
      document.documentElement.dataset.scheme = scheme(next);
      tell();
    });
    tell();
  });
  // A page kept by the browser may show an offer that was answered since: ask anew.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
})();
