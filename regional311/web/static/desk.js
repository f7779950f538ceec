// Shortcuts of the desk; every one of them is also a link or a button on the page.
// An element with data-key="n" is followed or focused when that key is pressed outside a field.
"use strict";

(() => {
  const STORED = "regional311-single-keys";
  const off = () => {
    try { return localStorage.getItem(STORED) === "off"; } catch { return false; }
  };
  const typing = (target) =>
    target.isContentEditable ||
    (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && !/^(radio|checkbox|submit|button)$/.test(target.type));

  const writing = () =>
    [...document.querySelectorAll("main input, main textarea")].some(
      (field) => !/^(hidden|radio|checkbox|search)$/.test(field.type) && field.value !== field.defaultValue);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (off() || typing(event.target)) return;
    if (event.key === "?") {
      const help = document.querySelector("details[data-shortcuts]");
      if (!help) return;
      event.preventDefault();
      help.open = !help.open;
      if (help.open) help.querySelector("summary").focus();
      return;
    }
    const same = document.querySelectorAll(`[data-key="${CSS.escape(event.key)}"]`);
    // what is folded away is not meant
    const target = [...same].find((each) => each.offsetParent !== null);
    if (!target) return;
    event.preventDefault();
    target.focus();
    // what is being written must not be lost to a stray key: then the button only gets the focus
    if (target.dataset.keyEnds !== undefined && writing()) return;
    if (/^(A|BUTTON|SUMMARY)$/.test(target.tagName)) target.click();
  });

  // From the search box the arrows walk the hits below it and back; Enter follows the one in focus.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    const box = document.querySelector("input[data-walks]");
    if (!box || !["ArrowDown", "ArrowUp", "Escape"].includes(event.key)) return;
    const hits = [...document.querySelectorAll(`#${CSS.escape(box.dataset.walks)} a.d-hit`)];
    const at = hits.indexOf(event.target);
    if (event.target !== box && at < 0) return;
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Escape: -1 }[event.key];
    if (event.key === "Escape" && at < 0) return;
    event.preventDefault();
    (next < 0 ? box : hits[Math.min(next, hits.length - 1)] || box).focus();
  });

  // How long a contact has taken; it is told in minutes without this.
  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-timer]").forEach((place) => {
      const since = Date.parse(place.dataset.timer);
      const tick = () => {
        const seconds = Math.max(0, Math.floor((Date.now() - since) / 1000));
        const minutes = String(Math.floor(seconds / 60) % 60).padStart(seconds < 3600 ? 1 : 2, "0");
        const hours = seconds < 3600 ? "" : `${Math.floor(seconds / 3600)}:`;
        place.textContent = `${hours}${minutes}:${String(seconds % 60).padStart(2, "0")}`;
      };
      tick();
      setInterval(tick, 1000);
    });
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-single-keys]").forEach((box) => {
      box.closest("[hidden]")?.removeAttribute("hidden");
      box.checked = !off();
      box.addEventListener("change", () => {
        try { localStorage.setItem(STORED, box.checked ? "on" : "off"); } catch { /* kept for this page only */ }
      });
    });
  });

  // What is typed in a contact is kept as it is typed: a second after it was, and when the page is left.
  const keep = (form) => {
    const told = form.querySelector("[data-kept]");
    let timer = 0, changed = false, under = false;
    const tell = (well) => {
      told.textContent = well ? told.dataset.kept : told.dataset.notKept;
      told.hidden = false;
    };
    const send = async (leaving) => {
      clearTimeout(timer);
      timer = 0;
      if (!changed) return;
      if (under && !leaving) { soon(1000); return; }
      changed = false;
      under = true;
      const body = new URLSearchParams();
      for (const [name, value] of new FormData(form)) {
        if (typeof value === "string") body.append(name, value);
      }
      try {
        const answer = await fetch(form.dataset.keeps, {
          method: "POST", body, keepalive: leaving, redirect: "manual", credentials: "same-origin" });
        tell(answer.ok);
      } catch {
        changed = true;
        tell(false);
        soon(5000);
      } finally {
        under = false;
      }
    };
    const soon = (after) => { if (!timer) timer = setTimeout(() => send(false), after); };
    const typed = () => { changed = true; soon(1000); };
    form.addEventListener("input", typed);
    form.addEventListener("change", typed);
    form.addEventListener("submit", () => { clearTimeout(timer); timer = 0; changed = false; });
    document.addEventListener("visibilitychange", () => { if (document.hidden) send(true); });
    window.addEventListener("pagehide", () => send(true));
  };
  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("form[data-keeps]").forEach(keep);
  });
})();
