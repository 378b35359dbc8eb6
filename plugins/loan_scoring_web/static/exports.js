// Adds to each table a button that saves it as CSV, and to each plot buttons for CSV and PNG.
"use strict";
(() => {
  const SCALE = 2;
  const slug = (text) => text.trim().toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60);

  // Airflow's frame is not allowed to save files, so the link is clicked in the window's own page.
  const save = (name, url) => {
    const link = parent.document.createElement("a");
    link.href = url;
    link.download = name;
    parent.document.body.append(link);
    link.click();
    link.remove();
  };

  // A spreadsheet runs a text that begins like a formula. A number may begin with a sign.
  const guarded = (text) => (/^[=+\-@\t\r]/.test(text) && !/^[+-]?[\d.,]+(e[+-]?\d+)?( ?%)?$/i.test(text) ? `'${text}` : text);
  const quoted = (value) => {
    const text = guarded(String(value ?? ""));
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const saveCsv = (name, rows) => {
    const text = "\ufeff" + rows.map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
    const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    save(`${name}.csv`, url);
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  };

  // The minus sign, the sign of a missing value and the commas of thousands are written for people.
  const NUMBER = /^-?\d{1,3}(,\d{3})+(\.\d+)?$/;
  const plain = (cell) => {
    const text = cell.innerText.trim().replace(/\s+/g, " ").replace(/^\u2212/, "-").replace(/^\u2013$/, "");
    return NUMBER.test(text) ? text.replaceAll(",", "") : text;
  };
  const tableRows = (table) =>
    [...table.rows].map((row) => [...row.cells].flatMap((cell) => [plain(cell), ...Array(cell.colSpan - 1).fill("")]));

  const plotRows = (plot) => {
    const rows = [["series", "x", "y", "value"]];
    for (const trace of plot.data) {
      const name = trace.name ?? "";
      if (trace.z) trace.z.forEach((line, y) => line.forEach((z, x) => rows.push([name, trace.x?.[x] ?? x, trace.customdata?.[y]?.[0] ?? trace.y?.[y] ?? y, z])));
      else (trace.y ?? trace.x ?? []).forEach((_, place) => rows.push([name, trace.x?.[place], trace.y?.[place], ""]));
    }
    return rows;
  };

  const savePng = async (name, plot) => {
    const [width, height] = [plot.clientWidth, plot.clientHeight];
    const picture = new Image();
    picture.src = await Plotly.toImage(plot, { format: "svg", width, height });
    await picture.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: width * SCALE, height: height * SCALE });
    const pen = canvas.getContext("2d");
    pen.fillStyle = getComputedStyle(document.body).backgroundColor;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    save(`${name}.png`, canvas.toDataURL("image/png"));
  };

  const button = (text, label, action) => {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text, title: label });
    made.setAttribute("aria-label", label);
    made.addEventListener("click", action);
    return made;
  };
  const bar = (...buttons) => {
    const made = document.createElement("span");
    made.className = "export";
    made.append(...buttons);
    return made;
  };

  addEventListener("DOMContentLoaded", () => {
    const page = slug(document.title.split(" \u00b7 ").slice(0, 2).reverse().join(" "));
    let heading = "";
    for (const each of document.querySelectorAll("main :is(h1, h2, h3, table, figure[data-plot])")) {
      if (/^H/.test(each.tagName)) heading = each.tagName === "H1" ? "" : each.innerText;
      else if (each.tagName === "TABLE") {
        if (!each.tHead || !each.tBodies[0]?.rows.length) continue;
        const title = heading || document.querySelector("h1")?.innerText || "table";
        const wide = each.closest(".wide");
        // A table inside a cell has its button beside it, not beside the table around it.
        const place = wide?.querySelector("table") === each ? wide : each;
        const name = `${page}${heading ? `-${slug(heading)}` : ""}`;
        place.after(bar(button("CSV", `Save the table as CSV: ${title}`, () => saveCsv(name, tableRows(each)))));
      } else {
        const title = each.querySelector("figcaption").innerText;
        const name = `${page}-${slug(title)}`;
        const plot = each.querySelector(".plot");
        each.querySelector("figcaption").append(
          bar(
            button("CSV", `Save the plot's values as CSV: ${title}`, () => plot.data && saveCsv(name, plotRows(plot))),
            button("PNG", `Save the plot as PNG: ${title}`, () => plot.data && savePng(name, plot)),
          ),
        );
      }
    }
  });
})();
