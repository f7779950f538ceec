// Conveniences only: every page works without this file.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const narrow = window.matchMedia("(max-width: 40em)");
  const menus = document.querySelectorAll("details[data-closed-when-narrow]");
  const fit = () => menus.forEach((menu) => { menu.open = !narrow.matches; });
  fit();
  narrow.addEventListener("change", fit);

  const summary = document.querySelector("[data-focus]");
  if (summary) summary.focus();

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    document.querySelectorAll("details.r-switch[open]").forEach((menu) => {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });
});

// A button that ticks every box of one name; without a script it is not shown.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-tick-all]").forEach((button) => {
    button.closest("[hidden]")?.removeAttribute("hidden");
    button.addEventListener("click", () => {
      document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(button.dataset.tickAll)}"]`)
        .forEach((box) => { box.checked = true; });
    });
  });
});

// A form is sent once: a second click while the first is under way does nothing.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; });
});

// A server's answer with errors (400, 409) replaces its part of the page like any other answer.
document.addEventListener("htmx:beforeSwap", (event) => {
  const status = event.detail.xhr.status;
  if (status === 400 || status === 409) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});
document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.target.closest ? event.target.closest("form") : null;
  if (form) delete form.dataset.sent;
});

// The way out replaces the page in the history, so that going back does not lead to it again.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-way-out]");
  if (!link) return;
  event.preventDefault();
  window.location.replace(link.href);
});
// Esc does the same, and the page says so where it does.
document.addEventListener("DOMContentLoaded", () => {
  const link = document.querySelector("a[data-way-out]");
  if (!link) return;
  document.querySelector("[data-way-out-key]")?.removeAttribute("hidden");
  document.addEventListener("keydown", (event) => {
    // in the middle of a character Esc belongs to the keyboard's own window
    if (event.key === "Escape" && !event.isComposing) window.location.replace(link.href);
  });
});
