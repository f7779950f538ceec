// Shows a question when the answers before it make it asked. Without this file all questions are
// there, each with its condition in words, and the server leaves out what does not apply.
"use strict";

(() => {
  const chosen = (root, name) =>
    [...root.querySelectorAll(`[name="${CSS.escape(name)}"]`)]
      .filter((field) => !field.disabled && (!/^(radio|checkbox)$/.test(field.type) || field.checked))
      .map((field) => field.value);

  // in the order of the page: what a hidden question still holds counts for nothing after it
  const show = (root) => {
    root.querySelectorAll("[data-asked-if]").forEach((part) => {
      // all of the clauses must hold, of each any one condition
      const asked = JSON.parse(part.dataset.askedIf).every((clause) =>
        clause.some(([name, answers]) =>
          chosen(root, name).some((answer) => answers.includes(answer))));
      part.hidden = !asked;
      part.querySelectorAll("input, select, textarea").forEach((field) => { field.disabled = !asked; });
      part.querySelectorAll(":scope > [data-only-if]").forEach((words) => { words.textContent = ""; });
    });
  };

  const roots = (within) => within.querySelectorAll("form, [data-questions]");
  const start = () => roots(document).forEach(show);
  document.addEventListener("DOMContentLoaded", start);
  window.addEventListener("pageshow", start);
  document.addEventListener("htmx:load", (event) => {
    if (event.target.matches && event.target.matches("[data-questions]")) show(event.target);
    roots(event.target).forEach(show);
  });
  document.addEventListener("change", (event) => {
    const root = event.target.closest("form, [data-questions]");
    if (root) show(root);
  });
})();
