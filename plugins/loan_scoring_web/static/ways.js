// Ways around a page: menus close by Escape, and what was just saved is in view and has the focus.
"use strict";
(() => {
  const openMenus = () => document.querySelectorAll("details.choice[open]");

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    openMenus().forEach((menu) => {
      const had = menu.contains(document.activeElement);
      menu.open = false;
      if (had) menu.querySelector("summary").focus();
    });
  });
  document.addEventListener("click", (event) =>
    openMenus().forEach((menu) => menu.contains(event.target) || (menu.open = false)),
  );

  // The header is sticky, and on a narrow window it has several lines: targets keep clear of it.
  const measure = () => {
    const header = document.querySelector("header");
    if (!header) return;
    const isSticky = getComputedStyle(header).position === "sticky";
    document.documentElement.style.setProperty("--head", `${isSticky ? header.offsetHeight : 0}px`);
  };

  const target = () => (location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null);
  const show = () => {
    const named = target();
    if (!named) return;
    named.closest("details")?.setAttribute("open", "");
    if (!named.matches("a, button, input, select, textarea, summary, [tabindex]")) named.tabIndex = -1;
    named.focus({ preventScroll: true });
    named.scrollIntoView({ block: "start" });
  };
  addEventListener("resize", measure);
  addEventListener("DOMContentLoaded", () => {
    measure();
    show();
  });
  // Plots are drawn later and push what is below them down.
  addEventListener("load", () => target()?.scrollIntoView({ block: "start" }));
  addEventListener("hashchange", show);
})();
