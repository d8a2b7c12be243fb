"use strict";
(function () {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const root = document.documentElement;
  const config = {
    displaylogo: false,
    responsive: true,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
    toImageButtonOptions: { format: "svg" },
  };
  const small = matchMedia("(max-width: 640px)");
  let asset = 0;
  const logScale = new Set();

  function color(name) {
    return getComputedStyle(root).getPropertyValue(name).trim();
  }

  // Return a copy with the theme's colors for color names and time axes for references.
  function resolve(value, key) {
    if (Array.isArray(value)) {
      return key === "colorscale" ? value.map(([at, name]) => [at, color(name)]) : value;
    }
    if (value !== null && typeof value === "object") {
      if (key === "x" && "ref" in value) return data.times[value.ref];
      const copy = {};
      for (const [name, part] of Object.entries(value)) {
        const list = Array.isArray(part) && (name === "shapes" || name === "annotations");
        copy[name] = list ? part.map((item) => resolve(item, "")) : resolve(part, name);
      }
      return copy;
    }
    const named = key === "color" || key === "fillcolor";
    return named && typeof value === "string" && value.startsWith("--") ? color(value) : value;
  }

  // Break a long title of an axis at its words: a narrow chart would cut it.
  function broken(text, most) {
    const lines = [""];
    for (const word of text.split(" ")) {
      const last = lines.length - 1;
      if (lines[last] && lines[last].length + word.length >= most) lines.push(word);
      else lines[last] = lines[last] ? `${lines[last]} ${word}` : word;
    }
    return lines.join("<br>");
  }

  function themed(figure) {
    const narrow = small.matches && !root.classList.contains("paper");
    const layout = resolve(figure.layout, "");
    const line = { gridcolor: color("--grid"), zerolinecolor: color("--line"), linecolor: color("--line") };
    for (const name of Object.keys(layout)) {
      if (/^[xy]axis/.test(name)) {
        layout[name] = Object.assign({ automargin: true, showgrid: true, zeroline: false }, line, layout[name]);
        if (layout[name].title) {
          const text = broken(layout[name].title.text, narrow ? 40 : 100);
          layout[name].title = { text, font: { size: 12 }, standoff: 8 };
        }
      }
    }
    return Object.assign(layout, {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: color("--text"), size: narrow ? 11 : 12, family: "system-ui, sans-serif" },
      margin: { l: narrow ? 44 : 60, r: narrow ? 8 : 16, t: 40, b: 40 },
      legend: { orientation: "h", x: 0, y: 1.01, yanchor: "bottom", font: { size: narrow ? 10.5 : 12 } },
      hoverlabel: { bgcolor: color("--panel"), bordercolor: color("--line"), font: { color: color("--text") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: color("--muted"), activecolor: color("--accent") },
      dragmode: narrow ? false : "zoom",
    });
  }

  function draw(element, figure) {
    element.hidden = !figure;
    if (!figure) return;
    const layout = themed(figure);
    if (logScale.has(element.dataset.chart)) layout.yaxis.type = "log";
    // Printing needs the width at once; on small screens the buttons would hide the legend.
    if (root.classList.contains("paper")) layout.width = element.clientWidth;
    const bar = small.matches ? false : "hover";
    const traces = figure.data.map((trace) => resolve(trace, ""));
    Plotly.react(element, traces, layout, Object.assign({ displayModeBar: bar }, config));
  }

  // Assets beyond those in full have one figure, which differs only in its values.
  function figuresOf(index) {
    const first = data.assets.length;
    if (index < first || !data.others) return data.assets[index] || {};
    const { figure, values } = data.others;
    const traces = figure.data.map((trace, k) => Object.assign({}, trace, values[index - first][k]));
    return { equity: { data: traces, layout: figure.layout } };
  }

  function drawAsset() {
    const figures = figuresOf(asset);
    for (const element of document.querySelectorAll("[data-chart]:not([data-run])")) {
      draw(element, figures[element.dataset.chart]);
    }
  }

  function drawAll() {
    drawAsset();
    for (const element of document.querySelectorAll("[data-run]")) {
      draw(element, data.run[element.dataset.chart]);
    }
  }

  function choose(index) {
    asset = index;
    for (const element of document.querySelectorAll("[data-asset]")) {
      element.hidden = Number(element.dataset.asset) !== index;
    }
    const full = index < data.assets.length;
    for (const element of document.querySelectorAll("[data-full]")) element.hidden = !full;
    for (const element of document.querySelectorAll("[data-others]")) element.hidden = full;
    drawAsset();
  }

  function cellKey(row, column) {
    const cell = row.cells[column];
    const number = cell.querySelector("data");
    return number ? Number(number.value) : cell.textContent;
  }

  function sort(header) {
    const table = header.closest("table");
    const body = table.tBodies[0];
    const column = header.cellIndex;
    const ascending = header.getAttribute("aria-sort") !== "ascending";
    for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const rows = Array.from(body.rows, (row) => [cellKey(row, column), row]);
    rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (ascending ? 1 : -1));
    body.append(...rows.map(([, row]) => row));
  }

  const select = document.getElementById("asset");
  if (select) select.addEventListener("change", () => choose(Number(select.value)));
  for (const button of document.querySelectorAll("[data-log]")) {
    button.addEventListener("click", () => {
      const chart = button.dataset.log;
      const log = !logScale.delete(chart);
      if (log) logScale.add(chart);
      button.setAttribute("aria-pressed", String(log));
      Plotly.relayout(document.querySelector(`[data-chart="${chart}"]`), { "yaxis.type": log ? "log" : "linear" });
    });
  }
  // A list of a chart's lines: the one pointed at, or kept by a click, stands out.
  for (const list of document.querySelectorAll("[data-lines]")) {
    const chart = document.querySelector(`[data-chart="${list.dataset.lines}"]`);
    const buttons = Array.from(list.querySelectorAll("button"));
    const single = (index) => {
      const opacity = buttons.map((_, k) => (index < 0 || index === k ? 1 : 0.12));
      Plotly.restyle(chart, { opacity });
    };
    const still = () => single(buttons.findIndex((b) => b.getAttribute("aria-pressed") === "true"));
    buttons.forEach((button, k) => {
      button.addEventListener("click", () => {
        const keep = button.getAttribute("aria-pressed") !== "true";
        for (const other of buttons) other.setAttribute("aria-pressed", String(keep && other === button));
        if (keep) single(k); else still();
      });
      for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => single(k));
      for (const event of ["pointerleave", "blur"]) button.addEventListener(event, still);
    });
  }
  for (const button of document.querySelectorAll(".sortable thead button")) {
    button.addEventListener("click", () => sort(button.closest("th")));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  small.addEventListener("change", drawAll);  // a phone is turned
  // Paper is white whatever the screen's theme.
  window.addEventListener("beforeprint", () => { root.classList.add("paper"); drawAll(); });
  window.addEventListener("afterprint", () => { root.classList.remove("paper"); drawAll(); });
  drawAll();
})();
