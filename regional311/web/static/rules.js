// Conveniences of the rules' editor: drag a rule to its place, move it with Alt and the arrow keys,
// find in long lists, put a fact into a condition. Everything works without this file.
"use strict";

(() => {
  const send = (form, rule, to) => {
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = "rule";
    field.value = `${rule} ${to}`;
    form.append(field);
    form.requestSubmit ? form.requestSubmit() : form.submit();
  };

  const reorder = (list) => {
    const form = document.getElementById(list.dataset.reorder);
    const items = () => [...list.children];
    let dragged = null;
    const clear = () => items().forEach((each) => each.classList.remove("r-rules__over", "r-rules__dragged"));
    items().forEach((item) => {
      const handle = document.createElement("span");
      handle.className = "r-rules__handle";
      handle.setAttribute("aria-hidden", "true");
      handle.textContent = "⠿";
      item.prepend(handle);
      handle.addEventListener("mousedown", () => { item.draggable = true; });
      item.addEventListener("dragend", () => { item.draggable = false; dragged = null; clear(); });
      item.addEventListener("dragstart", (event) => {
        dragged = item;
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", item.dataset.keyOf);
        item.classList.add("r-rules__dragged");
      });
      item.addEventListener("dragover", (event) => {
        if (!dragged) return;
        event.preventDefault();
        items().forEach((each) => each.classList.toggle("r-rules__over", each === item && item !== dragged));
      });
      item.addEventListener("drop", (event) => {
        if (!dragged || dragged === item) return;
        event.preventDefault();
        const all = items();
        const to = all.indexOf(item) + 1 - (all.indexOf(dragged) < all.indexOf(item) ? 1 : 0);
        send(form, dragged.dataset.keyOf, Math.max(1, to));
      });
      item.addEventListener("keydown", (event) => {
        const ways = { ArrowUp: "up", ArrowDown: "down", Home: "top", End: "end" };
        if (!event.altKey || !(event.key in ways)) return;
        event.preventDefault();
        send(form, item.dataset.keyOf, ways[event.key]);
      });
    });
    // come back to the rule that was moved
    const here = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (here && list.contains(here)) here.focus({ preventScroll: true });
  };

  const findable = (group) => {
    const boxes = [...group.querySelectorAll(".usa-checkbox")];
    if (boxes.length < 13) return;
    const words = group.querySelector("summary").textContent.trim();
    const field = document.createElement("input");
    field.type = "search";
    field.className = "usa-input r-picks__filter";
    field.setAttribute("aria-label", words);
    field.placeholder = "…";
    group.querySelector("summary").after(field);
    field.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLowerCase();
      boxes.forEach((box) => {
        box.hidden = wanted !== "" && !box.textContent.toLowerCase().includes(wanted)
          && !box.querySelector("input").checked;
      });
    });
  };

  const completing = (field) => {
    const list = document.getElementById(field.dataset.condition);
    if (!list) return;
    const told = document.getElementById("condition-check");
    if (told) field.after(told);
    const wordBefore = () => /[A-Za-z_]*$/.exec(field.value.slice(0, field.selectionStart))[0];
    const show = () => {
      const word = wordBefore().toLowerCase();
      const hits = [...list.children].filter((each) => each.dataset.fact.startsWith(word));
      [...list.children].forEach((each) => { each.hidden = hits.length > 0 && !hits.includes(each); });
    };
    ["input", "click", "keyup"].forEach((name) => field.addEventListener(name, show));
    list.querySelectorAll(".e-facts__example").forEach((code) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "e-facts__example";
      button.textContent = code.textContent;
      button.title = list.dataset.insert;
      code.replaceWith(button);
      button.addEventListener("click", () => {
        const start = field.selectionStart - wordBefore().length;
        field.setRangeText(button.textContent, start, field.selectionEnd, "end");
        field.focus();
        field.dispatchEvent(new Event("input", { bubbles: true }));
      });
    });
  };

  // boundaries are picked on a map, too: it ticks the same boxes as the list above it
  const mapped = (place) => {
    const list = place.querySelector("fieldset[id$='-boundaries']");
    if (!list || !window.L) return;
    const tenant = location.pathname.split("/")[1];
    const boxes = new Map([...list.querySelectorAll("input[type=checkbox]")].map(
      (box) => [box.value.includes("/") ? box.value : `${tenant}/${box.value}`, box]));
    fetch(place.dataset.shapes, { headers: { Accept: "application/json" } })
      .then((answer) => (answer.ok ? answer.json() : null))
      .then((shapes) => {
        if (!shapes || !shapes.features.length) return;
        const frame = document.createElement("div");
        frame.className = "e-map";
        frame.setAttribute("role", "region");
        frame.setAttribute("aria-label", place.dataset.mapLabel);
        const hint = document.createElement("p");
        hint.className = "usa-hint";
        hint.textContent = place.dataset.mapLabel;
        list.append(hint, frame);
        const map = L.map(frame, { attributionControl: false, scrollWheelZoom: false, zoomSnap: 0.25 });
        const style = (shape) => {
          const box = boxes.get(shape.properties.key);
          const line = /LineString/.test(shape.geometry.type);
          const on = box && box.checked;
          return { color: on ? "#8b0a03" : "#005ea2", weight: line ? 5 : on ? 3 : 1.5, fillOpacity: on ? 0.3 : 0.05 };
        };
        const drawn = L.geoJSON(shapes, {
          style,
          filter: (shape) => boxes.has(shape.properties.key),
          onEachFeature: (shape, layer) => {
            const words = document.createElement("span");
            words.textContent = shape.properties.name;
            layer.bindTooltip(words, { sticky: true });
            layer.on("click", () => boxes.get(shape.properties.key).click());
          },
        }).addTo(map);
        // what is small lies on top, so that it can be reached
        const size = (layer) => {
          const box = layer.getBounds();
          return (box.getNorth() - box.getSouth()) * (box.getEast() - box.getWest());
        };
        drawn.getLayers().sort((one, other) => size(other) - size(one)).forEach((layer) => layer.bringToFront());
        map.fitBounds(drawn.getBounds(), { padding: [10, 10], animate: false });
        list.addEventListener("change", () => drawn.setStyle(style));
      })
      .catch(() => { /* the list has all of them */ });
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-shapes]").forEach(mapped);
    document.querySelectorAll("[data-reorder]").forEach(reorder);
    document.querySelectorAll("[data-picks] details").forEach(findable);
    document.querySelectorAll("[data-condition]").forEach(completing);
  });
})();
