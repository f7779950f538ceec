// The small map of a public page: our own outlines and points, no tiles, no other host.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const place = document.querySelector("[data-map]");
  if (!place || !window.L) return;
  fetch(place.dataset.map, { headers: { Accept: "application/json" } })
    .then((answer) => (answer.ok ? answer.json() : null))
    .then((shapes) => {
      if (!shapes || !shapes.features.length) return;
      place.hidden = false;
      const map = L.map(place, { attributionControl: false, scrollWheelZoom: false, zoomSnap: 0.25 });
      const drawn = L.geoJSON(shapes, {
        style: (shape) => (shape.geometry.type === "Point" ? {} : { color: "#005ea2", weight: 2, fillOpacity: 0.08 }),
        pointToLayer: (_shape, at) =>
          L.circleMarker(at, { radius: 8, color: "#8b0a03", weight: 2, fillColor: "#d54309", fillOpacity: 0.9 }),
        onEachFeature: (shape, layer) => {
          const words = document.createElement("span");
          words.textContent = [shape.properties.name, shape.properties.address].filter(Boolean).join(", ");
          layer.bindPopup(words);
        },
      }).addTo(map);
      map.fitBounds(drawn.getBounds(), { padding: [16, 16], maxZoom: 15, animate: false });
    })
    .catch(() => { /* the addresses stand on the page as text */ });
});
