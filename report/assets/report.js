// What all parts share: what is drawn, units, models that are sought or chosen, plots, frontiers.  The page wraps all scripts in one function.
const payload = await unpacked(document.getElementById("payload").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

// JSON that was deflated and written in base64
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
}

const safe = (text) => String(text).replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);
const nats = (value, se) => (value === null || value === undefined ? "–" : value.toFixed(3).replace("-", "−") + (se ? " ± " + se.toFixed(3) : ""));

const hovers = matchMedia("(hover: hover)").matches; // else the bar would always be there, over the plot
const CONFIG = { responsive: true, displaylogo: false, displayModeBar: hovers ? "hover" : false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
const STAR = { symbol: "star", size: 12, color: "#888888" };

const state = { unit: "nats", wanted: "", group: {} };

// a factor from nats and what the unit is called; "x": of the data, which have dimensions; "y": of the task
function unitOf(kind, dims) {
  if (state.unit === "nats") return [1, "nats"];
  return state.unit === "dim" && kind === "x" && dims ? [1 / Math.LN2 / dims, "bits/dim"] : [1 / Math.LN2, "bits"];
}

const sought = (name) => name.toLowerCase().includes(state.wanted);

// which models of a set are drawn in colour, by number: those that are sought, else those of the chosen group
function coloured(id) {
  const { looks } = payload.sets[id], groups = groupsOf(id);
  if (state.wanted) return (model) => sought(looks[model].name);
  const chosen = groups[Number(state.group[id] ?? 0)];
  return groups.length < 2 || !chosen ? () => true : (model) => chosen[1].includes(model);
}

const groupsOf = (id) => (payload.plots[`${id}-D`] || payload.plots[`${id}-Dy`] || { groups: [] }).groups;

function theme() {
  const style = getComputedStyle(document.body);
  const layout = {
    font: { color: style.color, family: style.fontFamily, size: 13 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 60, r: 10, t: 30, b: 50 }, hovermode: "closest", hoverlabel: { align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: style.color, activecolor: style.color },
  };
  return { ink: style.color, line: dark.matches ? "#353b43" : "#e6e6e6", grey: dark.matches ? "#454c55" : "#d0d3d7", layout };
}

// a model's colour on this background: black turns with the ink, and what is too dark for the night is made lighter
function inkOf(colour, ink) {
  if (colour === "#111111") return ink;
  if (!dark.matches) return colour;
  const parts = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const light = (0.3 * parts[0] + 0.59 * parts[1] + 0.11 * parts[2]) / 255, more = light < 0.45 ? 0.45 - light : 0;
  return `rgb(${parts.map((p) => Math.round(p + more * (255 - p) * 1.3)).join(",")})`;
}

const pen = document.createElement("canvas").getContext("2d");

// rows of a legend of these names: in groups each takes the room that it needs, else all take that of the widest
function rowsOfLegend(names, width, font, grouped) {
  pen.font = `12px ${font}`;
  const each = names.map((name) => pen.measureText(name).width + 47), widest = Math.max(...each);
  if (!grouped && each.reduce((sum, one) => sum + one, 0) > width) return Math.ceil(names.length / Math.max(1, Math.floor(width / widest)));
  let rows = 1, at = 0;
  for (const one of each) {
    if (at + one > width && at) { rows += 1; at = 0; }
    at += one;
  }
  return rows;
}

// makes room below the axes for a legend of these names, so that it never takes it from the plot
function legend(element, layout, names, grouped = false) {
  const rows = rowsOfLegend(names, element.clientWidth - 75, layout.font.family, grouped);
  const area = element.classList.contains("small") ? 250 : element.classList.contains("map") ? 420 : 340, below = 60 + 20 * rows;
  layout.height = layout.margin.t + area + below;
  element.style.height = `${layout.height}px`;
  layout.margin.b = below;
  layout.legend = { orientation: "h", yref: "container", y: 0, yanchor: "bottom", font: { size: 12 }, maxheight: below };
  layout.showlegend = true;
}

const cut = (name) => (name.length > 40 ? `${name.slice(0, 27)}…${name.slice(-12)}` : name);

const axisOf = (line) => ({ gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true });

// the region below loss = bound − rate, down to `floor`
const infeasible = (bound, right, floor) => ({
  type: "path", layer: "below", line: { width: 0 }, fillcolor: dark.matches ? "rgba(255,255,255,.12)" : "rgba(0,0,0,.12)",
  path: `M 0 ${bound} L ${right} ${bound - right} L ${right} ${floor} L 0 ${floor} Z`,
});

function told(look, p, plane) {
  const who = p.seed === undefined ? `mean of ${p.seeds} seed${p.seeds === 1 ? "" : "s"}` : `seed ${p.seed}`;
  const lines = [
    `<b>${safe(look.name)}</b>`,
    `${safe(p.at)}, ${who}, ${safe(p.status)}`,
    `R* = ${nats(p.R, p.R_se)} nats`,
    `D = ${nats(plane === "D" ? p.loss : p.D, plane === "D" ? p.loss_se : null)} nats`,
    `D_y = ${nats(plane === "Dy" ? p.loss : p.Dy, plane === "Dy" ? p.loss_se : null)} nats`,
    `R of the model's own prior = ${nats(p.R_own)}, I(x; z) ≥ ${nats(p.I_low)}`,
  ];
  if (p.beta_end !== undefined) lines.push(`slope β = ${p.beta_end.toPrecision(3)}`);
  return lines.join("<br>");
}

// the hulls of those in grey as one trace, so that they are there and not in the way
const greyLines = (lines, color, axes) => ({
  ...axes, mode: "lines", name: "other models", showlegend: false, hoverinfo: "skip", line: { color, width: 1 },
  x: lines.flatMap((l) => [...l.map((p) => p[0]), null]), y: lines.flatMap((l) => [...l.map((p) => p[1]), null]),
});

function traces(plot, looks, show, scale) {
  const { ink, grey } = theme(), out = [], others = [[], []];
  const auto = (m) => looks[m.model].auto;
  const both = plot.models.some(auto) && !plot.models.every(auto);
  for (const model of plot.models) {
    const look = looks[model.model], second = both && look.auto ? 1 : 0;
    const axes = second ? { xaxis: "x2", yaxis: "y2" } : {};
    const hull = model.hull.map((p) => p.map((v) => v * scale));
    if (!show(model.model)) {
      others[second].push(hull);
      continue;
    }
    const colour = inkOf(look.colour, ink), name = safe(cut(look.name));
    const points = [...model.points].sort((a, b) => (a.status !== "ok") - (b.status !== "ok")); // a legend shows the first
    out.push({
      ...axes, x: hull.map((p) => p[0]), y: hull.map((p) => p[1]), mode: "lines", name,
      legendgroup: String(model.model), showlegend: false, hoverinfo: "skip",
      line: { color: colour, width: 1.8, dash: look.open ? "dash" : "solid" },
    });
    const error = (values) => ({ array: values.map((v) => (v || 0) * scale), thickness: 1, width: 0, color: colour });
    out.push({
      ...axes, x: points.map((p) => p.R * scale), y: points.map((p) => p.loss * scale), mode: "markers", name,
      legendgroup: String(model.model), hovertemplate: "%{text}<extra></extra>",
      text: points.map((p) => told(look, p, plot.plane)),
      error_x: error(points.map((p) => p.R_se)), error_y: error(points.map((p) => p.loss_se)),
      marker: {
        color: colour, size: 8, line: { width: 1.5, color: colour },
        symbol: points.map((p) => look.symbol + (look.open || p.status !== "ok" ? "-open" : "")),
        opacity: points.map((p) => (p.status === "ok" ? 1 : 0.55)),
      },
    });
  }
  const axes = [{}, { xaxis: "x2", yaxis: "y2" }];
  return [[...others.map((lines, i) => greyLines(lines, grey, axes[i])).filter((t) => t.x.length), ...out], both];
}

// how far R* goes, and what lies beyond
function reach(models) {
  const points = models.flatMap((m) => m.points.map((p) => ({ model: m.model, R: p.R, far: p.far })));
  return [Math.max(1e-9, ...points.filter((p) => !p.far).map((p) => p.R)) * 1.05, points.filter((p) => p.far)];
}

function frontier(element) {
  const plot = payload.plots[element.dataset.plot], set = payload.sets[plot.set];
  const [scale, unit] = unitOf(plot.plane === "D" ? "x" : "y", set.dims);
  const { line, layout } = theme();
  const [data, both] = traces(plot, set.looks, coloured(plot.set), scale);
  const named = data.filter((t) => t.mode === "markers").map((t) => t.name);
  const reached = (both ? [false, true] : [null]).map((auto) => reach(plot.models.filter((m) => auto === null || set.looks[m.model].auto === auto)));
  const own = reached.map(([right]) => right * scale);
  const losses = plot.models.flatMap((m) => m.points.map((p) => p.loss)).concat(plot.null === null ? [] : [plot.null]).map((v) => v * scale);
  const low = Math.min(...losses), high = Math.max(...losses), room = 0.05 * (high - low || 1), bound = plot.bound === null ? null : plot.bound * scale;
  const shapes = [];
  for (const [i, n] of (both ? ["", "2"] : [""]).entries()) {
    const right = own[i];
    if (plot.null !== null)
      data.push({
        x: [0], y: [plot.null * scale], xaxis: "x" + n, yaxis: "y" + n, mode: "markers", name: "no code", legendgroup: "no code",
        showlegend: n === "", cliponaxis: false, hovertemplate: `no code: ${(plot.null * scale).toFixed(3)} ${unit}<extra></extra>`, marker: STAR,
      });
    if (bound !== null)
      shapes.push({ ...infeasible(bound, right, Math.min(low, bound - right) - 9 * room), xref: "x" + n, yref: "y" + n });
  }
  const axis = axisOf(line);
  const x = { ...axis, title: { text: `R* (${unit}) ≥ I(x; z)` }, range: [0, own[0]] };
  const y = { ...axis, title: { text: plot.plane === "D" ? `D (${unit}) ≥ H(x|z)` : `D_y (${unit}) ≥ H(y|z)` }, range: [low - room, high + room] };
  const annotations = reached.flatMap(([, beyond], i) => {
    const gone = [...new Set(beyond.map((p) => p.model))].map((model) => {
      const rates = beyond.filter((p) => p.model === model).map((p) => Math.round(p.R * scale));
      const ends = [...new Set([Math.min(...rates), Math.max(...rates)])].join(" to ");
      return `${safe(cut(set.looks[model].name))} at ${ends}`;
    });
    const text = `→ ${gone.slice(0, 2).join(", ")}${gone.length > 2 ? ` and ${gone.length - 2} more` : ""}`;
    const n = i ? "2" : "";
    return beyond.length ? [{ text, showarrow: false, xref: `x${n} domain`, yref: `y${n} domain`, x: 1, y: 0.02, xanchor: "right", yanchor: "bottom", font: { size: 10 } }] : [];
  });
  Object.assign(layout, { shapes, annotations, xaxis: x, yaxis: y });
  legend(element, layout, named.concat(plot.null === null ? [] : ["no code"]), true);
  if (both) {
    const narrow = element.clientWidth < 520;
    layout.xaxis = { ...x, domain: [0, narrow ? 0.55 : 0.62] };
    layout.xaxis2 = { ...x, domain: [narrow ? 0.7 : 0.72, 1], title: { text: `R* (${unit})` }, range: [0, own[1]] };
    layout.yaxis2 = { ...y, anchor: "x2", title: undefined };
    layout.annotations = [...layout.annotations, { text: narrow ? "autoregr." : "autoregressive", showarrow: false, xref: "x2 domain", yref: "paper", x: 0, y: 1.01, yanchor: "bottom", xanchor: "left" }];
  }
  Plotly.react(element, data, layout, CONFIG);
}
