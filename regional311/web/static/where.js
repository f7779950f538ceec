// Say where it is by the device or on a map, when one asks for it; the words and the numbers stay.
// The map is drawn from our own outlines: no tiles, no other host.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector("[data-where]");
  const latitude = document.querySelector("input[name=latitude]");
  const longitude = document.querySelector("input[name=longitude]");
  if (!box || !latitude || !longitude) return;
  const numbers = box.querySelector("[data-numbers]");
  const groups = [latitude, longitude].map((each) => each.closest(".usa-form-group"));
  groups[0].before(box);
  numbers.append(...groups);
  numbers.open = groups.some((each) => each.querySelector(".usa-error-message"));
  box.hidden = false;
  const told = box.querySelector("[role=status]");
  const button = box.querySelector("[data-device]");
  const moved = [];

  const put = (at, words) => {
    latitude.value = at.lat.toFixed(6);
    longitude.value = at.lng.toFixed(6);
    told.textContent = words;
    moved.forEach((each) => each(at));
  };

  if (navigator.geolocation) {
    button.parentElement.hidden = false;
    button.addEventListener("click", () => {
      told.textContent = button.dataset.asking;
      navigator.geolocation.getCurrentPosition(
        ({ coords }) => put({ lat: coords.latitude, lng: coords.longitude }, button.dataset.found),
        () => { told.textContent = button.dataset.refused; },
        { enableHighAccuracy: true, maximumAge: 60000, timeout: 15000 },
      );
    });
  }

  const place = box.querySelector("[data-outlines]");
  const more = place.closest("details");

  const bring = (name, from) => new Promise((done, failed) => {
    const part = document.createElement(name);
    part.onload = done;
    part.onerror = failed;
    if (name === "link") { part.rel = "stylesheet"; part.href = from; } else { part.src = from; }
    document.head.append(part);
  });

  const draw = (shapes) => {
    place.hidden = false;
    const map = L.map(place, { attributionControl: false, scrollWheelZoom: false, zoomSnap: 0.25 });
    const drawn = L.geoJSON(shapes, {
      interactive: false,
      filter: (shape) => shape.geometry.type !== "Point",
      style: (shape) => ({ color: shape.geometry.type.endsWith("LineString") ? "#6f3331" : "#005ea2", weight: 2, fillOpacity: 0.06 }),
      onEachFeature: (shape, layer) => {
        const words = document.createElement("span");
        words.textContent = shape.properties.name;
        layer.bindTooltip(words, { permanent: true, direction: "center", className: "p-map__name", opacity: 1 });
      },
    }).addTo(map);
    const names = [];
    drawn.eachLayer((layer) => names.push(layer.getTooltip()));
    // a name that would lie on another one is left out until there is room
    const clear = () => {
      const taken = [];
      names.forEach((name) => {
        const part = name.getElement();
        if (!part) return;
        part.hidden = false;
        const at = part.getBoundingClientRect();
        if (taken.some((each) => at.left < each.right && at.right > each.left && at.top < each.bottom && at.bottom > each.top)) part.hidden = true;
        else taken.push(at);
      });
    };
    map.on("zoomend", clear);
    const mine = L.featureGroup(drawn.getLayers().filter((layer) => layer.feature.properties.partner === place.dataset.focus)).getBounds();
    const bounds = mine.isValid() ? mine : drawn.getBounds();
    if (bounds.isValid()) map.fitBounds(bounds, { padding: [8, 8], animate: false });
    clear();
    let mark = null;
    const show = (at) => {
      if (mark) mark.setLatLng(at);
      else mark = L.circleMarker(at, { radius: 9, color: "#8b0a03", weight: 3, fillColor: "#d54309", fillOpacity: 0.9 }).addTo(map);
    };
    moved.push(show);
    map.on("click", (event) => put(event.latlng, place.dataset.found));
    const typed = [Number(latitude.value), Number(longitude.value)];
    if (latitude.value && longitude.value && typed.every(Number.isFinite)) show({ lat: typed[0], lng: typed[1] });
  };

  more.addEventListener("toggle", () => {
    if (!more.open || place.dataset.begun) return;
    place.dataset.begun = "yes";
    Promise.all([
      bring("link", place.dataset.style),
      bring("script", place.dataset.script),
      fetch(place.dataset.outlines, { headers: { Accept: "application/json" } }).then((answer) => (answer.ok ? answer.json() : null)),
    ])
      .then(([_style, _script, shapes]) => { if (shapes && shapes.features.length) draw(shapes); else more.hidden = true; })
      .catch(() => { more.hidden = true; });
  });
});
