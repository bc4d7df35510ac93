// The theme that a person chose, kept in this browser. A plain script in the head, so that it is set before anything is drawn.
"use strict";
(() => {
  const KEY = "sonomyo-theme";
  const root = document.documentElement;

  function read() {
    try {
      return localStorage.getItem(KEY) ?? "";
    } catch {
      return ""; // storage is forbidden here: the system's theme it is
    }
  }

  function apply(choice) {
    if (choice === "light" || choice === "dark") root.dataset.theme = choice;
    else delete root.dataset.theme;
  }

  function keep(choice) {
    try {
      if (choice) localStorage.setItem(KEY, choice);
      else localStorage.removeItem(KEY);
    } catch {
      // It holds for this page, then.
    }
  }

  apply(read());
  addEventListener("storage", (event) => event.key === KEY && apply(event.newValue));
  document.addEventListener("DOMContentLoaded", () => {
    const select = document.querySelector("[data-theme-choice]");
    if (!select) return;
    select.value = root.dataset.theme ?? "";
    select.closest("label").hidden = false;
    select.addEventListener("change", () => {
      apply(select.value);
      keep(select.value);
    });
  });
})();
