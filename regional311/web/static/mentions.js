// Completes @names in notes from the list beside the field; the list itself works without this file.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-mentions-for]").forEach((holder, place) => {
    const field = document.getElementById(holder.dataset.mentionsFor);
    if (!field) return;
    const people = [...holder.querySelectorAll("[data-handle]")].map((each) => ({
      handle: each.dataset.handle, words: each.textContent.trim().toLowerCase(), shown: each.textContent.trim(),
    }));
    const list = document.createElement("ul");
    list.className = "d-mentions";
    list.id = `mentions-${place}`;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", holder.querySelector("summary").textContent);
    list.hidden = true;
    field.after(list);
    field.setAttribute("aria-autocomplete", "list");
    field.setAttribute("aria-controls", list.id);
    let at = 0;
    let offered = [];

    const begun = () => {
      const before = field.value.slice(0, field.selectionStart);
      const found = /(^|[^\w@.+-])@([a-z0-9._-]*)$/i.exec(before);
      return found && field.selectionStart === field.selectionEnd ? found[2] : null;
    };
    const close = () => {
      list.hidden = true;
      offered = [];
      field.removeAttribute("aria-activedescendant");
    };
    const show = () => {
      [...list.children].forEach((each, number) => each.setAttribute("aria-selected", String(number === at)));
      field.setAttribute("aria-activedescendant", `${list.id}-${at}`);
      list.children[at].scrollIntoView({ block: "nearest" });
    };
    const take = (handle) => {
      const typed = begun();
      if (typed === null) return;
      const starts = field.selectionStart - typed.length;
      field.setRangeText(`${handle} `, starts, field.selectionStart, "end");
      close();
      field.focus();
    };

    field.addEventListener("input", () => {
      const typed = begun();
      if (typed === null) { close(); return; }
      const asked = typed.toLowerCase();
      offered = people.filter((each) => each.handle.startsWith(asked) || (asked && each.words.includes(asked))).slice(0, 8);
      if (!offered.length) { close(); return; }
      at = 0;
      list.replaceChildren(...offered.map((each, number) => {
        const option = document.createElement("li");
        option.id = `${list.id}-${number}`;
        option.setAttribute("role", "option");
        option.textContent = each.shown;
        option.addEventListener("mousedown", (event) => { event.preventDefault(); take(each.handle); });
        return option;
      }));
      list.hidden = false;
      show();
    });
    field.addEventListener("keydown", (event) => {
      if (list.hidden) return;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        at = (at + (event.key === "ArrowDown" ? 1 : offered.length - 1)) % offered.length;
        show();
      } else if (event.key === "Enter" || event.key === "Tab") {
        take(offered[at].handle);
      } else if (event.key === "Escape") {
        close();
      } else {
        return;
      }
      event.preventDefault();
    });
    field.addEventListener("blur", close);
  });
});
