// The parts with choices about all models: usefulness per factor, scores, structure.

function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props))
    name in made ? (made[name] = value) : made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

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
    const color = inkOf(look.colour, ink);
    return {
      x: points.map((p) => p.x), y: points.map((p) => p.y), mode: "lines+markers", name: safe(cut(look.name)),
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

// those in colour of a set's models, in the order of the lineup
const linesOf = (id, byModel, point) =>
  Object.entries(byModel || {})
    .filter(([model]) => coloured(id)(Number(model)))
    .map(([model, points]) => ({ look: payload.sets[id].looks[model], points: points.map(point) }));

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
      lines: linesOf(box.dataset.set, own.curves[f]?.[h], ([x, y, se, target, seeds]) => ({
        x, y, se, text: `${safe(target)}, ${seeds} seed${seeds === 1 ? "" : "s"}<br>R* = ${nats(x)} nats<br>D_y = ${nats(y, se)} nats`,
      })),
    });
    part(box, "note").textContent = bins
      ? "The factor is real; each of its components was cut in bins of equal mass, and the losses of these classes added."
      : bound !== null ? `Nothing can lie in the grey region, where D_y + R* < H(y) = ${digitsOf(bound)} nats.`
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
    const lines = linesOf(box.dataset.set, own.curves[column], ([x, y, se, target, n, of]) => ({
      x, y, se, text: `${safe(target)}, ${n} of ${of} seeds<br>R* = ${nats(x)} nats<br>score ${nats(y, se)}`,
    }));
    const { axis, reading } = own.scores.find((s) => s.id === score.value);
    overlay(part(box, "plot"), { x: "R* (nats) ≥ I(x; z)", y: axis, lines, base: 0 });
    part(box, "note").textContent = `${reading}.`;
    part(box, "lacking").replaceChildren(...lacking(own.lacking[column] || [], own.points[column]));
    const table = averages(set, own, protocol.value, rep.value);
    part(box, "averages").replaceChildren(table);
    sortable(table);
    hint(part(box, "averages").parentElement);
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
  el("th", { scope: "col", "aria-sort": "none", title, className: numbers ? "num" : "" }, el("button", { type: "button" }, text));

function averages(set, own, protocol, rep) {
  const columns = own.scores.map((s) => [s, own.averages[`${s.id}_${protocol}_${rep}`] || {}]);
  const cell = (found) =>
    found
      ? el("td", { className: "num", "data-sort": found[0] ?? "" }, digitsOf(found[0]), found[1] ? el("small", {}, found[1]) : null, el("small", {}, `${found[2]} of ${found[3]}`))
      : el("td", { className: "num", "data-sort": "" }, "–");
  const rows = set.looks
    .map((look, model) => [look, model])
    .filter(([, model]) => columns.some(([, by]) => by[model]))
    .map(([look, model]) =>
      el("tr", { "data-model": look.name }, el("th", { scope: "row" }, el("span", { className: "dot", style: `background:${look.colour === "#111111" ? "var(--ink)" : look.colour}` }), look.name), ...columns.map(([, by]) => cell(by[model]))),
    );
  return el("table", { className: "sortable" },
    el("thead", {}, el("tr", {}, heading("model"), ...columns.map(([s]) => heading(s.title, `${s.reading}; mean over σ`, true)))),
    el("tbody", {}, ...rows));
}

function structure(box, set) {
  const own = set.structure, target = part(box, "target"), factor = part(box, "factor");
  offer(target, [["", "all"], ...own.targets.map((t) => [t, t])], own.start);
  if (factor) offer(factor, own.factors.map((f) => [f, f]));
  const draw = () => {
    for (const row of box.querySelectorAll("table.targeted tbody tr"))
      row.hidden = (target.value !== "" && row.dataset.target !== target.value) || (factor && (row.dataset.factor ?? factor.value) !== factor.value);
    for (const [name, x, what] of [["efficiency", "labels", "labels"], ["noise", own.level, "noise"]]) {
      if (!part(box, name)) continue;
      const level = set.useful?.null[factor.value]?.Dy ?? null;
      const at = target.value || own.start;
      overlay(part(box, name), {
        x, y: `D_y of ${safe(factor.value)} (nats) ≥ H(y|z)`, log: name === "efficiency", level,
        lines: linesOf(box.dataset.set, own.curves[name][factor.value]?.[at], ([x, y, se]) => ({ x, y, se, text: `${safe(at)}, ${what} ${x}<br>D_y = ${nats(y, se)} nats` })),
      });
    }
  };
  target.addEventListener("change", draw);
  factor?.addEventListener("change", draw);
  return draw;
}
