// Draws the plots of a page. Airflow shows the page in a frame, so this script opens links to Airflow's
// own pages outside the frame.
"use strict";
(() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Plots name CSS variables as colours. Replace each name by its colour in the current theme.
  const coloured = (value) => {
    if (typeof value === "string" && value.startsWith("--")) return css(value);
    if (Array.isArray(value)) return value.map(coloured);
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, coloured(each)]));
    return value;
  };

  const draw = (figure) => {
    const { data, layout } = coloured(JSON.parse(figure.querySelector("script").textContent));
    const axis = { gridcolor: css("--line"), zerolinecolor: css("--line"), linecolor: css("--line"), automargin: true };
    const whole = {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: css("--text") },
      margin: { l: 48, r: 16, t: 16, b: 40 },
      hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--line"), font: { color: css("--text") } },
      ...layout,
    };
    for (const name of Object.keys(whole).filter((each) => /^[xy]axis\d*$/.test(each)))
      whole[name] = { ...axis, ...whole[name] };
    for (const name of ["xaxis", "yaxis"]) whole[name] ??= axis;
    // A narrow plot has room for half the labels of nights.
    const { type, tickvals, ticktext } = whole.xaxis;
    if (figure.clientWidth < 480 && type === "category" && tickvals?.length > 6)
      for (const [name, all] of Object.entries({ tickvals, ticktext }))
        whole.xaxis[name] = all.filter((_, place) => place % 2 === 0);
    Plotly.react(figure.querySelector(".plot"), data, whole, { displayModeBar: false, responsive: true });
  };

  // A plot inside closed <details> has no size, so it is drawn when the <details> are opened.
  const isShown = (figure) => !figure.closest("details:not([open])");
  const drawAll = (within) => [...within.querySelectorAll("figure[data-plot]")].filter(isShown).forEach(draw);
  addEventListener("DOMContentLoaded", () => {
    drawAll(document);
    document.querySelectorAll("details[data-opens]").forEach((each) =>
      each.addEventListener("toggle", () => each.open && drawAll(each)),
    );
    // If the address ends in #alert-ID, open the evidence of that alert.
    const named = location.hash && document.getElementById(location.hash.slice(1));
    if (named) named.querySelector("details")?.setAttribute("open", "");
  });
  document.addEventListener("themechange", () => drawAll(document));

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-top]");
    if (!link || parent === window || event.ctrlKey || event.metaKey || event.shiftKey) return;
    // Airflow's frame is not allowed to navigate the window, so click a link in the window's own page.
    event.preventDefault();
    const outside = parent.document.createElement("a");
    outside.href = link.href;
    parent.document.body.append(outside);
    outside.click();
    outside.remove();
  });
})();
