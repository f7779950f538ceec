// Fill in where one is, when one asks for it: rounded to about a hundred metres, and sent nowhere else.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const wide = window.matchMedia("(min-width: 60em)");
  document.querySelectorAll("details[data-open-when-wide]").forEach((each) => { if (wide.matches) each.open = true; });
  if (!navigator.geolocation) return;
  document.querySelectorAll("[data-locate]").forEach((button) => {
    const told = button.parentElement.querySelector("[role=status]");
    const form = document.getElementById(button.dataset.locate);
    button.parentElement.hidden = false;
    button.addEventListener("click", () => {
      navigator.geolocation.getCurrentPosition(
        ({ coords }) => {
          const set = (name, value) => {
            let field = document.querySelector(`input[type=hidden][name=${name}]`);
            if (!field) {
              field = document.createElement("input");
              field.type = "hidden";
              field.name = name;
              form.append(field);
            }
            field.value = value.toFixed(3);
          };
          document.getElementById("place").value = "";
          set("latitude", coords.latitude);
          set("longitude", coords.longitude);
          form.requestSubmit();
        },
        () => { told.textContent = button.dataset.refused; },
        { maximumAge: 600000, timeout: 10000 },
      );
    });
  });
});
