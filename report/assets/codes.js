// Single codes: which latent knows which factor, what the receiver draws, and how training went.

function codes(box, set) {
  const own = set.codes, rep = part(box, "rep");
  if (rep) offer(rep, own.reps, own.reps[0][0]);
  const draw = () => {
    const p = point();
    part(box, "seed").textContent = `seed ${p.seed}`;
    if (rep) {
      const values = p.mi?.[rep.value];
      part(box, "matrix").replaceChildren(values ? scrolled("scroll", `which latent knows which factor, of ${set.looks[p.model].name}`, matrix(p.mi, values)) : el("p", { className: "empty" }, "No matrix of this point and representation."));
      part(box, "matrix-note").textContent = !values ? "" :
        `I(z_j; y) in nats, an estimate from test codes, shaded by its share of H(y); latents sorted by their largest share` +
        (p.mi.of > p.mi.latents.length ? `, ${p.mi.latents.length} that know most of ${p.mi.of}.` : ".");
    }
    part(box, "pictures").replaceChildren(...(p.pictures ? pictures(own.images, p.pictures) : own.pictures ? [el("p", { className: "empty" }, absent(set, own, p.model))] : []));
  };
  const point = choices(box, set, own.points, own.start, draw);
  rep?.addEventListener("change", draw);
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
      ...mi.factors.map((f, k) => el("th", { scope: "col", className: "num" }, f, el("small", {}, `H = ${digitsOf(mi.H[k], 2)}`))))),
    el("tbody", {}, ...order.map((j) =>
      el("tr", {}, el("th", { scope: "row" }, mi.latents[j]), ...mi.factors.map((f, k) =>
        el("td", { className: "num", style: `--share:${share(j, k).toFixed(3)}`, title: `${(100 * share(j, k)).toFixed(0)} % of H(${f})` }, digitsOf(values[j][k])))))));
}

function pictures(images, page) {
  const made = [];
  if (page.originals?.rows > 1) made.push(sequences(images, page));
  else if (page.originals || page.reconstructions)
    made.push(strips("Originals over reconstructions", [["x", "originals", "test image"], ["x̂", "reconstructions", "reconstruction"]]
      .filter(([, name]) => page[name]).map(([label, name, what]) => [label, page[name], 0, (i) => `${what} ${i + 1}`]), images, null));
  if (page.prior)
    made.push(strips(`Drawn from the ${page.marginal === "refitted" ? "marginal that was refitted after training" : page.marginal ? "model's own prior" : "prior"}: what the decoder makes of codes that nobody sent`,
      rowsOf(page.prior).map((row) => ["", page.prior, row, (i) => `sample ${row * page.prior.columns + i + 1}`]), images, null));
  if (page.interpolations)
    made.push(strips(`From one test ${page.originals?.rows > 1 ? "sequence to another, the frame that changes most" : "image to another"}, in even steps between their codes`,
      rowsOf(page.interpolations).map((row) => [String(row + 1), page.interpolations, row, (i) => `pair ${row + 1}, step ${i + 1} of ${page.interpolations.columns}`]), images, null));
  if (page.traversals) made.push(traversals(images, page));
  return made;
}

// a row a sequence, a column a frame: what was sent over what arrived, and with one block lent by the sequence above
function sequences(images, page) {
  const swaps = Object.keys(page).filter((name) => name.startsWith("swaps/"));
  const shown = rowsOf(page.originals).slice(0, 4);
  const rows = (given, what, label) => (page[given] ? [[label, page[given], what[0], (i) => `${what[1]}, frame ${i + 1}`]] : []);
  const parts = [strips("Sequences over their reconstructions, frame by frame", shown.flatMap((row) => [
    ...rows("originals", [row, `sequence ${row + 1}`], `x ${row + 1}`),
    ...rows("reconstructions", [row, `reconstruction of ${row + 1}`], "x̂"),
  ]), images, null)];
  for (const name of swaps)
    parts.push(strips(`With “${name.slice(6)}” lent by the sequence before it`, shown.flatMap((row) =>
      rows(name, [row, `sequence ${row + 1} with ${name.slice(6)} of the one before`], `x̂ ${row + 1}`)), images, null));
  return el("div", {}, ...parts);
}

const rowsOf = (sheet) => Array.from({ length: sheet.rows }, (_, i) => i);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const signed = (v) => (v > 0 ? "+" : "") + String(Math.round(v * 100) / 100).replace("-", "−");
let timer = null; // of the one player that plays

// one latent moved at a time: a tile a latent, a slider over the steps, and a button that plays them to and fro
function traversals(images, page) {
  const sheet = page.traversals, last = sheet.columns - 1, at = page.at.length === sheet.columns ? page.at : null;
  const latents = page.latents.slice(0, sheet.rows);
  const tiles = latents.map((latent, row) => tile(images, sheet, row, 0, latent));
  const slider = el("input", { type: "range", min: "0", max: String(last), step: "1", "aria-label": "step of the traversals" });
  const where = el("output", {});
  const show = (i) => {
    slider.value = String(i);
    where.textContent = at ? `${signed(at[i])} standard deviations` : `step ${i + 1} of ${last + 1}`;
    tiles.forEach((one) => one.place(i));
  };
  const play = el("button", { type: "button", hidden: still.matches || last < 2 }, "Play");
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  let way = 1;
  play.addEventListener("click", () => {
    if (timer !== null) return stop();
    play.textContent = "Pause";
    timer = setInterval(() => {
      if (!play.isConnected) return stop();
      if (Number(slider.value) + way > last || Number(slider.value) + way < 0) way = -way;
      show(Number(slider.value) + way);
    }, Math.max(120, 1600 / (last + 1)));
  });
  slider.addEventListener("input", () => { if (timer !== null) stop(); show(Number(slider.value)); });
  show(Math.floor(last / 2));
  const all = strips("", latents.map((latent, row) => [latent, sheet, row, (i) => `${latent} at ${at ? at[i] : i + 1}`]), images, at);
  return el("div", { className: "player" },
    el("p", { className: "facts" }, `One latent moved at a time, in standard deviations around its mean over test codes${page.originals?.rows > 1 ? "; the frame that changes most" : ""}`),
    el("p", { className: "tools" }, play, slider, where),
    el("div", { className: "tiles" }, ...tiles.map((one, i) => el("figure", {}, one.element, el("figcaption", {}, latents[i])))),
    el("details", { open: last < 6 }, el("summary", {}, "all steps side by side"), all));
}

// one picture of a sheet, with a way to change which column it shows
function tile(images, sheet, row, column, name) {
  const [h, w] = sheet.size, scale = w < 64 ? Math.max(1, Math.floor(64 / w)) : Math.min(1, 96 / w);
  const element = el("div", { className: "picture", role: "img", "aria-label": name, title: name });
  element.style.cssText = `width:${w * scale}px;height:${h * scale}px;background:url(${images[sheet.image]}) 0 0 / ${sheet.columns * w * scale}px ${sheet.rows * h * scale}px`;
  const place = (i) => { element.style.backgroundPosition = `${-i * w * scale}px ${-row * h * scale}px`; };
  place(column);
  return { element, place };
}

// a table that scrolls by itself, also by keyboard, below its caption and a word where columns are out of sight
function scrolled(className, label, table, caption = "") {
  const scroll = el("div", { className, tabindex: "0", role: "region", "aria-label": label }, table);
  widths.observe(scroll);
  return el("div", { className: "box" }, caption ? el("p", { className: "facts" }, caption) : null, el("p", { className: "hint", hidden: true }, HINT), scroll);
}

// rows = [[label, sheet, row of the sheet, name of a picture]]
function strips(caption, rows, images, at) {
  const cell = (sheet, row, column, name) => el("td", {}, tile(images, sheet, row, column, name).element);
  const head = at ? [el("thead", {}, el("tr", {}, el("td"), ...at.map((v) => el("th", { scope: "col" }, signed(v)))))] : [];
  const body = rows.map(([label, sheet, row, name]) =>
    el("tr", {}, el("th", { scope: "row" }, label), ...Array.from({ length: sheet.columns }, (_, i) => cell(sheet, row, i, name(i)))));
  return scrolled("scroll bare", caption || "all steps", el("table", { className: "strips" }, ...head, el("tbody", {}, ...body)), caption);
}

// model and target of a part that shows one point at a time
function choices(box, set, points, start, draw) {
  const model = part(box, "model"), target = part(box, "target"), first = points[start];
  offer(model, [...new Set(points.map((p) => p.model))].map((m) => [m, set.looks[m].name]), first.model);
  const targets = () => offer(target, points.filter((p) => p.model === Number(model.value)).map((p) => [p.target, p.target]), first.target);
  model.addEventListener("change", () => { targets(); draw(); });
  target.addEventListener("change", draw);
  targets();
  return () => points.find((p) => p.model === Number(model.value) && p.target === target.value);
}

function learning(box, set) {
  const own = set.learning;
  const draw = () => {
    const p = point(), { ink, line, layout } = theme(), element = part(box, "plot");
    part(box, "seed").textContent = `seed ${p.seed}`;
    const curve = (name, key, color, dash, more = {}) => ({
      x: p.step, y: p[key], name, mode: "lines", line: { color, width: 2, dash }, hovertemplate: `step %{x}<br>${name} = %{y:.3f}<extra></extra>`, ...more,
    });
    const data = [
      curve("D (nats)", "D", inkOf("#0072B2", ink), "solid"), curve("R (nats)", "R", inkOf("#D55E00", ink), "solid"),
      curve("β (right axis)", "beta", inkOf("#009E73", ink), "dot", { yaxis: "y2" }),
    ];
    const axis = axisOf(line), positive = p.beta.filter((v) => v > 0);
    layout.xaxis = { ...axis, title: { text: "training step" } };
    layout.yaxis = { ...axis, title: { text: "nats" }, rangemode: "tozero" };
    const flat = positive.length && Math.max(...positive) < 1.2 * Math.min(...positive);
    const steps = Math.max(...positive) < 8 * Math.min(...positive) ? [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9] : [1, 2, 5];
    const ticks = [-4, -3, -2, -1, 0, 1, 2].flatMap((k) => steps.map((n) => Number(`${n}e${k}`)));  // whole: digits alone do not say which power
    const scale = positive.length === p.beta.length && !flat ? { type: "log", tickvals: ticks, ticktext: ticks.map(String) } : { rangemode: "tozero" };
    layout.yaxis2 = { ...axis, title: { text: "β" }, overlaying: "y", side: "right", showgrid: false, ...scale };
    layout.shapes = p.sigma === null ? [] : [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: p.sigma, y1: p.sigma, line: { color: "#888888", width: 1, dash: "dot" } }];
    layout.annotations = p.sigma === null ? [] : [{ text: "σ", xref: "paper", x: 1, y: p.sigma, xanchor: "right", yanchor: "bottom", showarrow: false }];
    layout.margin.t = 20;
    legend(element, layout, data.map((trace) => trace.name));
    Plotly.react(element, data, layout, CONFIG);
  };
  const point = choices(box, set, own.points, own.start, draw);
  return draw;
}
