// The parts with choices: usefulness per factor, scores, single codes, structure.

function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props))
    name in made ? (made[name] = value) : made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

const digits = (value, n = 3) => (value === null || value === undefined ? "–" : value.toFixed(n).replace("-", "−"));

// fills a select with [value, text] pairs, keeping what was chosen where it is still offered
function offer(select, pairs, start) {
  const before = select.options.length ? select.value : start;
  select.replaceChildren(...pairs.map(([value, text]) => el("option", { value: String(value) }, text)));
  select.value = pairs.some(([value]) => String(value) === String(before)) ? String(before) : String(pairs[0]?.[0] ?? "");
  select.disabled = pairs.length < 2;
}

// lines with markers, one a model; lines = [{look, points: [{x, y, se, text}]}]
function overlay(element, { x, y, lines, log = false, level = null, bound = null, star = false, base = null }) {
  const { ink, line, layout } = theme();
  const data = lines.map(({ look, points }) => {
    const color = look.colour === "#111111" ? ink : look.colour;
    return {
      x: points.map((p) => p.x), y: points.map((p) => p.y), mode: "lines+markers", name: safe(look.name),
      text: points.map((p) => `<b>${safe(look.name)}</b><br>${p.text}`), hovertemplate: "%{text}<extra></extra>",
      line: { color, width: 1.8, dash: look.open ? "dash" : "solid" },
      error_y: { array: points.map((p) => p.se || 0), thickness: 1, width: 0, color },
      marker: { color, size: 8, symbol: look.symbol + (look.open ? "-open" : ""), line: { width: 1.5, color } },
    };
  });
  const all = lines.flatMap((l) => l.points);
  const ys = all.flatMap((p) => [p.y - (p.se || 0), p.y + (p.se || 0)]).concat(level === null ? [] : [level], base === null ? [] : [base]);
  const low = Math.min(...ys), high = Math.max(...ys), room = 0.05 * (high - low || 1);
  const right = Math.max(1e-9, ...all.map((p) => p.x)) * 1.05;
  layout.shapes = [];
  if (star && level !== null)
    data.push({ x: [0], y: [level], mode: "markers", name: "no code", marker: STAR, cliponaxis: false, hovertemplate: `no code: ${level.toFixed(3)} nats<extra></extra>` });
  else if (level !== null)
    layout.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: level, y1: level, layer: "below", line: { color: "#888888", width: 1, dash: "dot" } });
  if (bound !== null) layout.shapes.push(infeasible(bound, right, Math.min(low, bound - right) - 9 * room));
  const axis = axisOf(line);
  layout.xaxis = { ...axis, title: { text: x }, ...(log ? { type: "log", dtick: 1 } : { range: [all.some((p) => p.x <= 0) ? -0.03 * right : 0, right] }) };
  layout.yaxis = { ...axis, title: { text: y }, range: [low - room, high + room] };
  layout.margin.t = 20;
  legend(element, layout, data.map((trace) => trace.name));
  if (!all.length) layout.annotations = [{ text: "no point here", showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }];
  Plotly.react(element, data, layout, CONFIG);
}

const linesOf = (set, byModel, point) =>
  Object.entries(byModel || {}).map(([model, points]) => ({ look: set.looks[model], points: points.map(point) }));

const part = (box, role) => box.querySelector(`[data-role="${role}"]`);

function useful(box, set) {
  const own = set.useful, factor = part(box, "factor"), head = part(box, "head");
  offer(factor, own.factors.map((f) => [f, f]), own.factors[0]);
  offer(head, own.heads, "Dy");
  const draw = () => {
    const f = factor.value, h = head.value, bins = h === "Dy_bins";
    const bound = bins ? null : own.H[f];
    overlay(part(box, "plot"), {
      x: "R* (nats) ≥ I(x; z)", y: `D_y of ${safe(f)} (nats) ≥ H(y|z)`, bound, level: own.null[f]?.[h] ?? null, star: true,
      lines: linesOf(set, own.curves[f]?.[h], ([x, y, se, target, seeds]) => ({
        x, y, se, text: `${safe(target)}, ${seeds} seed${seeds === 1 ? "" : "s"}<br>R* = ${nats(x)} nats<br>D_y = ${nats(y, se)} nats`,
      })),
    });
    part(box, "note").textContent = bins
      ? "The factor is real; each of its components was cut in bins of equal mass, and the losses of these classes added."
      : bound !== null ? `Nothing can lie in the grey region, where D_y + R* < H(y) = ${digits(bound)} nats.`
      : own.real.includes(f) ? "The factor is real: D_y is of a density and may be negative."
      : "H(y) is not known, so no region is known to be infeasible.";
  };
  factor.addEventListener("change", draw);
  head.addEventListener("change", draw);
  return draw;
}

function scores(box, set) {
  const own = set.scores, [score, protocol, rep] = ["score", "protocol", "rep"].map((role) => part(box, role));
  offer(score, own.scores.map((s) => [s.id, s.title]), own.scores[0].id);
  offer(protocol, own.protocols.map((p) => [p, p]), own.protocols[0]);
  offer(rep, own.reps, own.reps[0][0]);
  const draw = () => {
    const column = `${score.value}_${protocol.value}_${rep.value}`;
    const lines = linesOf(set, own.curves[column], ([x, y, se, target, n, of]) => ({
      x, y, se, text: `${safe(target)}, ${n} of ${of} seeds<br>R* = ${nats(x)} nats<br>score ${nats(y, se)}`,
    }));
    const { axis, reading } = own.scores.find((s) => s.id === score.value);
    overlay(part(box, "plot"), { x: "R* (nats) ≥ I(x; z)", y: axis, lines, base: 0 });
    part(box, "note").textContent = `${reading}.`;
    part(box, "lacking").replaceChildren(...lacking(own.lacking[column] || [], own.points[column]));
    const table = averages(set, own, protocol.value, rep.value);
    part(box, "averages").replaceChildren(table);
    sortable(table);
  };
  [score, protocol, rep].forEach((select) => select.addEventListener("change", draw));
  return draw;
}

function lacking(reasons, points) {
  if (!points) return [el("p", { className: "facts" }, "No record has this score in this protocol and representation.")];
  const total = reasons.reduce((sum, [, n]) => sum + n, 0);
  if (!total) return [el("p", { className: "facts" }, `All ${points} points have this score.`)];
  return [
    el("p", { className: "facts" }, `${total} of ${points} points have no such score and are not drawn:`),
    el("ul", { className: "facts" }, ...reasons.map(([reason, n, models]) => el("li", {}, `${n}: ${reason}${models ? ` (${models})` : ""}`))),
  ];
}

const heading = (text, title = "", numbers = false) =>
  el("th", { scope: "col", "aria-sort": "none", title, className: numbers ? "num" : "" }, el("button", {}, text));

function averages(set, own, protocol, rep) {
  const columns = own.scores.map((s) => [s, own.averages[`${s.id}_${protocol}_${rep}`] || {}]);
  const cell = (found) =>
    found
      ? el("td", { className: "num", "data-sort": found[0] ?? "" }, digits(found[0]), found[1] ? el("small", {}, found[1]) : null, el("small", {}, `${found[2]} of ${found[3]}`))
      : el("td", { className: "num", "data-sort": "" }, "–");
  const rows = set.looks
    .map((look, model) => [look, model])
    .filter(([, model]) => columns.some(([, by]) => by[model]))
    .map(([look, model]) =>
      el("tr", {}, el("th", { scope: "row" }, el("span", { className: "dot", style: `background:${look.colour}` }), look.name), ...columns.map(([, by]) => cell(by[model]))),
    );
  return el("table", { className: "sortable" },
    el("thead", {}, el("tr", {}, heading("model"), ...columns.map(([s]) => heading(s.title, `${s.reading}; mean over σ`, true)))),
    el("tbody", {}, ...rows));
}

function codes(box, set) {
  const own = set.codes, model = part(box, "model"), target = part(box, "target"), rep = part(box, "rep");
  const first = own.points[own.start];
  const models = [...new Set(own.points.map((p) => p.model))];
  offer(model, models.map((m) => [m, set.looks[m].name]), first.model);
  if (rep) offer(rep, own.reps, own.reps[0][0]);
  const targets = () => offer(target, own.points.filter((p) => p.model === Number(model.value)).map((p) => [p.target, p.target]), first.target);
  const draw = () => {
    const point = own.points.find((p) => p.model === Number(model.value) && p.target === target.value);
    part(box, "seed").textContent = `seed ${point.seed}`;
    if (rep) {
      const values = point.mi?.[rep.value];
      part(box, "matrix").replaceChildren(values ? matrix(point.mi, values) : el("p", { className: "empty" }, "No matrix of this point and representation."));
      part(box, "matrix-note").textContent = !values ? "" :
        `I(z_j; y) in nats, an estimate from test codes, shaded by its share of H(y); latents sorted by their largest share` +
        (point.mi.of > point.mi.latents.length ? `, ${point.mi.latents.length} that know most of ${point.mi.of}.` : ".");
    }
    part(box, "pictures").replaceChildren(...(point.pictures ? pictures(own.images, point.pictures) : own.pictures ? [el("p", { className: "empty" }, absent(set, own, point.model))] : []));
  };
  model.addEventListener("change", () => { targets(); draw(); });
  target.addEventListener("change", draw);
  rep?.addEventListener("change", draw);
  targets();
  return draw;
}

function absent(set, own, model) {
  const kept = own.points.filter((p) => p.model === model && p.pictures).map((p) => p.target);
  return `No pictures of this point${kept.length ? `; of ${set.looks[model].name} there are those of ${kept.join(", ")}` : ""}.`;
}

function matrix(mi, values) {
  const share = (j, k) => (mi.H[k] > 0 && values[j][k] !== null ? Math.min(1, Math.max(0, values[j][k] / mi.H[k])) : 0);
  const best = mi.latents.map((_, j) => Math.max(...mi.factors.map((_, k) => share(j, k))));
  const order = mi.latents.map((_, j) => j).sort((a, b) => best[b] - best[a]);
  return el("table", { className: "heat" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "latent"),
      ...mi.factors.map((f, k) => el("th", { scope: "col", className: "num" }, f, el("small", {}, `H = ${digits(mi.H[k], 2)}`))))),
    el("tbody", {}, ...order.map((j) =>
      el("tr", {}, el("th", { scope: "row" }, mi.latents[j]), ...mi.factors.map((f, k) =>
        el("td", { className: "num", style: `--share:${share(j, k).toFixed(3)}`, title: `${(100 * share(j, k)).toFixed(0)} % of H(${f})` }, digits(values[j][k])))))));
}

function pictures(images, page) {
  const made = [];
  if (page.originals || page.reconstructions)
    made.push(strips("Originals over reconstructions", [["x", "originals", "test image"], ["x̂", "reconstructions", "reconstruction"]]
      .filter(([, name]) => page[name]).map(([label, name, what]) => [label, page[name], 0, (i) => `${what} ${i + 1}`]), images, null));
  if (page.traversals)
    made.push(strips("One latent moved at a time, in standard deviations around its mean over test codes",
      page.latents.slice(0, page.traversals.rows).map((latent, row) => [latent, page.traversals, row, (i) => `${latent} at ${page.at[i]}`]), images, page.at));
  return made;
}

// rows = [[label, sheet, row of the sheet, name of a picture]]
function strips(caption, rows, images, at) {
  const cell = (sheet, row, column, name) => {
    const [h, w] = sheet.size, scale = w < 64 ? Math.max(1, Math.floor(64 / w)) : Math.min(1, 96 / w);
    const style = `width:${w * scale}px;height:${h * scale}px;background:url(${images[sheet.image]}) ${-column * w * scale}px ${-row * h * scale}px / ${sheet.columns * w * scale}px ${sheet.rows * h * scale}px`;
    return el("td", {}, el("div", { className: "picture", role: "img", "aria-label": name, title: name, style }));
  };
  const head = at ? [el("thead", {}, el("tr", {}, el("td"), ...at.map((v) => el("th", { scope: "col" }, (v > 0 ? "+" : "") + String(v).replace("-", "−")))))] : [];
  const body = rows.map(([label, sheet, row, name]) =>
    el("tr", {}, el("th", { scope: "row" }, label), ...Array.from({ length: sheet.columns }, (_, i) => cell(sheet, row, i, name(i)))));
  return el("div", { className: "scroll bare" }, el("table", { className: "strips" }, el("caption", {}, caption), ...head, el("tbody", {}, ...body)));
}

function structure(box, set) {
  const own = set.structure, target = part(box, "target"), factor = part(box, "factor");
  offer(target, [["", "all"], ...own.targets.map((t) => [t, t])], own.start);
  if (factor) offer(factor, own.factors.map((f) => [f, f]));
  const draw = () => {
    for (const row of box.querySelectorAll("table.targeted tbody tr"))
      row.hidden = (target.value !== "" && row.dataset.target !== target.value) || (factor && (row.dataset.factor ?? factor.value) !== factor.value);
    for (const [name, x, what] of [["efficiency", "labels", "labels"], ["noise", "level of noise", "noise"]]) {
      if (!part(box, name)) continue;
      const level = set.useful?.null[factor.value]?.Dy ?? null;
      const at = target.value || own.start;
      overlay(part(box, name), {
        x, y: `D_y of ${safe(factor.value)} (nats) ≥ H(y|z)`, log: name === "efficiency", level,
        lines: linesOf(set, own.curves[name][factor.value]?.[at], ([x, y, se]) => ({ x, y, se, text: `${safe(at)}, ${what} ${x}<br>D_y = ${nats(y, se)} nats` })),
      });
    }
  };
  target.addEventListener("change", draw);
  factor?.addEventListener("change", draw);
  return draw;
}

const PARTS = { useful, scores, codes, structure };
const redraw = [...document.querySelectorAll("[data-explore]")].map((box) => PARTS[box.dataset.explore](box, payload.sets[box.dataset.set]));
const all = () => {
  document.querySelectorAll("[data-plot]").forEach(draw);
  redraw.forEach((again) => again());
};
dark.addEventListener("change", all);
all();
