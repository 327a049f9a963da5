// What all parts share, the frontiers, and the tables.  The page wraps this and sections.js in one function.
const payload = JSON.parse(document.getElementById("payload").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const safe = (text) => String(text).replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);
const nats = (value, se) => (value === null ? "–" : value.toFixed(3) + (se ? " ± " + se.toFixed(3) : ""));

const hovers = matchMedia("(hover: hover)").matches; // else the bar would always be there, over the plot
const CONFIG = { responsive: true, displaylogo: false, displayModeBar: hovers ? "hover" : false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
const STAR = { symbol: "star", size: 12, color: "#888888" };

function theme() {
  const style = getComputedStyle(document.body);
  const layout = {
    font: { color: style.color, family: style.fontFamily, size: 13 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 60, r: 10, t: 46, b: 50 }, hovermode: "closest", hoverlabel: { align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: style.color, activecolor: style.color },
  };
  return { ink: style.color, line: dark.matches ? "#353b43" : "#e6e6e6", layout };
}

// makes room below the axes for a legend of these names, so that it never takes it from the plot
function legend(element, layout, names) {
  const column = Math.max(...names.map((name) => name.length)) * 7 + 50;
  const rows = Math.ceil(names.length / Math.max(1, Math.floor((element.clientWidth - 70) / column)));
  const area = element.classList.contains("small") ? 250 : 340, below = 60 + 20 * rows;
  layout.height = layout.margin.t + area + below;
  element.style.height = `${layout.height}px`;
  layout.margin.b = below;
  layout.legend = { orientation: "h", yref: "container", y: 0, yanchor: "bottom", font: { size: 12 } };
  layout.showlegend = true;
}

const axisOf = (line) => ({ gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true });

// the region below loss = bound − rate, down to `floor`
const infeasible = (bound, right, floor) => ({
  type: "path", layer: "below", line: { width: 0 }, fillcolor: dark.matches ? "rgba(255,255,255,.12)" : "rgba(0,0,0,.12)",
  path: `M 0 ${bound} L ${right} ${bound - right} L ${right} ${floor} L 0 ${floor} Z`,
});

function told(model, p, plane) {
  const lines = [
    `<b>${safe(model.name)}</b>`,
    `${p.sigma === null ? safe(p.swept || "ELBO") : "σ = " + p.sigma}, seed ${p.seed}, ${safe(p.status)}`,
    `R* = ${nats(p.R, p.R_se)} nats`,
    `D = ${nats(p.D, plane === "D" ? p.loss_se : null)}`,
    `D_y = ${nats(p.Dy, plane === "Dy" ? p.loss_se : null)}`,
    `R own = ${nats(p.R_own)}, I ≥ ${nats(p.I_low)}`,
  ];
  if (p.beta_end !== null) lines.push(`slope β = ${p.beta_end.toPrecision(3)}`);
  return lines.join("<br>");
}

function traces(plot, ink) {
  const out = [];
  const both = plot.models.some((m) => m.autoregressive) && plot.models.some((m) => !m.autoregressive);
  for (const model of plot.models) {
    const second = both && model.autoregressive;
    const axes = second ? { xaxis: "x2", yaxis: "y2" } : {};
    const colour = model.colour === "#111111" ? ink : model.colour;
    const open = model.labels !== "none";
    out.push({
      ...axes, x: model.hull.map((p) => p[0]), y: model.hull.map((p) => p[1]), mode: "lines", name: model.name,
      legendgroup: model.name, showlegend: false, hoverinfo: "skip",
      line: { color: colour, width: 1.8, dash: open ? "dash" : "solid" },
    });
    out.push({
      ...axes, x: model.points.map((p) => p.R), y: model.points.map((p) => p.loss), mode: "markers", name: safe(model.name),
      legendgroup: model.name, hovertemplate: "%{text}<extra></extra>",
      text: model.points.map((p) => told(model, p, plot.plane)),
      error_x: { array: model.points.map((p) => p.R_se || 0), thickness: 1, width: 0, color: colour },
      error_y: { array: model.points.map((p) => p.loss_se || 0), thickness: 1, width: 0, color: colour },
      marker: {
        color: colour, size: 8, line: { width: 1.5, color: colour },
        symbol: model.points.map((p) => model.symbol + (open || p.status !== "ok" ? "-open" : "")),
        opacity: model.points.map((p) => (p.status === "ok" ? 1 : 0.55)),
      },
    });
  }
  return [out, both];
}

function draw(element) {
  const plot = payload.plots[element.dataset.plot];
  const { ink, line, layout } = theme();
  const [data, both] = traces(plot, ink);
  const right = Math.max(1, ...plot.models.flatMap((m) => m.points.map((p) => p.R))) * 1.05;
  const losses = plot.models.flatMap((m) => m.points.map((p) => p.loss)).concat(plot.null === null ? [] : [plot.null]);
  const low = Math.min(...losses), high = Math.max(...losses), room = 0.05 * (high - low || 1);
  const shapes = [];
  if (plot.null !== null)
    for (const n of both ? ["", "2"] : [""])
      data.push({
        x: [0], y: [plot.null], xaxis: "x" + n, yaxis: "y" + n, mode: "markers", name: "no code", legendgroup: "no code",
        showlegend: n === "", cliponaxis: false, hovertemplate: `no code: ${plot.null.toFixed(3)} nats<extra></extra>`,
        marker: STAR,
      });
  if (plot.bound !== null)
    for (const n of both ? ["", "2"] : [""])
      shapes.push({ ...infeasible(plot.bound, right, Math.min(low, plot.bound - right) - 9 * room), xref: "x" + n, yref: "y" + n });
  const axis = axisOf(line);
  const x = { ...axis, title: { text: "R* (nats) ≥ I(x; z)" }, range: [0, right] };
  const y = { ...axis, title: { text: plot.plane === "D" ? "D (nats) ≥ H(x|z)" : "D_y (nats) ≥ H(y|z)" }, range: [low - room, high + room] };
  Object.assign(layout, { shapes, xaxis: x, yaxis: y });
  legend(element, layout, plot.models.map((m) => m.name).concat(plot.null === null ? [] : ["no code"]));
  if (both) {
    layout.xaxis = { ...x, domain: [0, 0.62] };
    layout.xaxis2 = { ...x, domain: [0.72, 1], title: { text: "R* (nats)" } };
    layout.yaxis2 = { ...y, anchor: "x2", title: undefined };
    layout.annotations = [{ text: "autoregressive", showarrow: false, xref: "x2 domain", yref: "paper", x: 0, y: 1.01, yanchor: "bottom", xanchor: "left" }];
  }
  Plotly.react(element, data, layout, CONFIG);
}

const value = (cell) => {
  const text = cell.dataset.sort ?? cell.textContent.trim();
  const parsed = Number(text.replace("−", "-"));
  return text === "" || text === "–" ? null : Number.isNaN(parsed) ? text : parsed;
};

function sortable(table) {
  table.querySelectorAll("thead button").forEach((button) =>
    button.addEventListener("click", () => {
      const head = button.closest("th"), column = head.cellIndex;
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      table.querySelectorAll("th[aria-sort]").forEach((th) => th.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map((row) => [value(row.cells[column]), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // dashes last, both ways
        return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    }),
  );
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll("input[data-filter]").forEach((input) =>
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    for (const row of document.getElementById(input.dataset.filter).tBodies[0].rows)
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
  }),
);
