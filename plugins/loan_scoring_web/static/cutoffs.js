// Moves the figures of the models page to the threshold of a slider. Without this script the page
// shows the figures at the policy's thresholds, and all thresholds in a table.
"use strict";
(() => {
  const Z = 1.959963984540054;
  const count = (value) => Math.round(value).toLocaleString("en-US");
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const short = (threshold) => `${Number((100 * threshold).toPrecision(6))} %`;

  // Wilson's interval, as statistics/intervals.py computes it.
  const wilson = (successes, n) => {
    const share = successes / n, spread = (Z * Z) / n;
    const middle = (share + spread / 2) / (1 + spread);
    const half = (Z * Math.sqrt((share * (1 - share)) / n + spread / (4 * n))) / (1 + spread);
    return [Math.max(0, middle - half), Math.min(1, middle + half)];
  };

  const data = (part) => JSON.parse(part.querySelector("script").textContent);
  const say = (slider, text) => {
    slider.setAttribute("aria-valuetext", text);
    document.querySelector(`output[data-for="${slider.id}"]`).value = text;
  };
  // A browser may keep the place of a slider over a reload, so the figures are shown once at first.
  const follow = (part, show) => {
    part.querySelector(".slider").hidden = false;
    part.querySelectorAll("input[type=range]").forEach((each) => each.addEventListener("input", show));
    show();
  };

  const cutoffs = (part) => {
    const texts = data(part), slider = part.querySelector("input[type=range]");
    follow(part, () => {
      const now = texts[Number(slider.value)];
      say(slider, now.threshold);
      part.querySelectorAll("[data-text]").forEach((each) => (each.textContent = now[each.dataset.text]));
    });
  };

  const swaps = (part) => {
    const { thresholds, cells } = data(part);
    const [old, fresh] = part.querySelectorAll("input[type=range]");
    follow(part, () => {
      const places = [old, fresh].map((each) => Number(each.value));
      [old, fresh].forEach((each, index) => say(each, short(thresholds[places[index]])));
      const sets = { both: [0, 0], comes_in: [0, 0], goes_out: [0, 0], neither: [0, 0] };
      for (const [was, is, loans, defaults] of cells) {
        const before = was <= places[0], now = is <= places[1];
        const found = sets[now ? (before ? "both" : "comes_in") : before ? "goes_out" : "neither"];
        found[0] += loans;
        found[1] += defaults;
      }
      for (const [name, [loans, defaults]] of Object.entries(sets)) {
        const row = part.querySelector(`[data-set="${name}"]`);
        const texts = { loans: count(loans), defaults: count(defaults), rate: "–", interval: "–" };
        if (loans) {
          texts.rate = percent(defaults / loans);
          texts.interval = wilson(defaults, loans).map(percent).join(" to ");
        }
        for (const [key, text] of Object.entries(texts)) row.querySelector(`[data-of="${key}"]`).textContent = text;
      }
    });
  };

  addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-cutoffs]").forEach(cutoffs);
    document.querySelectorAll("[data-swaps]").forEach(swaps);
  });
})();
