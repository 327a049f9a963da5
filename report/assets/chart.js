// The map of all models: rate saved against usefulness gained, and what the tables do.

// where a name may stand beside its mark without hiding a mark or another name; [x, y, name] in pixels → positions
function labelled(marks, width, height) {
  const boxes = marks.map(([x, y]) => [x - 6, y - 6, x + 6, y + 6]);
  const meets = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
  const middle = [0, 1].map((k) => marks.reduce((sum, m) => sum + m[k], 0) / marks.length);
  const far = (m) => Math.max(Math.abs(m[0] - middle[0]) / width, Math.abs(m[1] - middle[1]) / height);
  const out = new Array(marks.length).fill(null);
  for (const i of marks.map((_, k) => k).sort((a, b) => far(marks[b]) - far(marks[a]))) {
    const [x, y, name] = marks[i], w = 6.6 * name.length, places = { "middle right": [8, -7], "middle left": [-8 - w, -7], "top center": [-w / 2, -21], "bottom center": [-w / 2, 7], "top left": [-w - 4, -21], "top right": [4, -21], "bottom left": [-w - 4, 7], "bottom right": [4, 7] };
    for (const [place, [dx, dy]] of Object.entries(places)) {
      const box = [x + dx, y + dy, x + dx + w, y + dy + 14];
      if (box[0] < 0 || box[1] < 0 || box[2] > width || box[3] > height || boxes.some((other, k) => k !== i && meets(box, other))) continue;
      boxes.push(box);
      out[i] = place;
      break;
    }
  }
  return out;
}

function chart(element) {
  const id = element.dataset.map, own = payload.maps[id], { looks, dims } = payload.sets[id];
  const { ink, line, grey, layout } = theme();
  const [fx, ux] = unitOf("x", dims), [fy, uy] = unitOf("y", dims);
  const narrow = element.clientWidth < 520, show = state.wanted ? (m) => sought(looks[m].name) : () => true;
  const scaled = (values, factor) => values.map((v) => (v === null ? null : v * factor));
  const points = own.points.map((p) => ({ ...p, x: scaled(p.x, fx), y: scaled(p.y, fy), look: looks[p.model] }));
  const range = (axis) => {
    const all = points.flatMap((p) => p[axis]).filter((v) => v !== null), low = Math.min(0, ...all), high = Math.max(0, ...all), room = 0.1 * (high - low || 1);
    return [low - room, high + room];
  };
  const [rx, ry] = [range("x"), range("y")], width = element.clientWidth - 80, height = 400;
  const marks = points.map((p) => [((p.x[0] - rx[0]) / (rx[1] - rx[0])) * width, (1 - (p.y[0] - ry[0]) / (ry[1] - ry[0])) * height, cut(p.look.name)]);
  const places = narrow ? marks.map(() => null) : labelled(marks, width, height);
  const interval = ([v, low, high], digits) => `${v > 0 ? "+" : ""}${digitsOf(v, digits)}${low === null ? "" : ` (95 %: ${digitsOf(low, digits)} to ${digitsOf(high, digits)})`}`;
  const data = points.map((p, i) => {
    const on = show(p.model), color = on ? inkOf(p.look.colour, ink) : grey;
    const bars = ([v, low, high]) => ({ type: "data", symmetric: false, array: [high === null ? 0 : high - v], arrayminus: [low === null ? 0 : v - low], thickness: 1.2, width: 3, color });
    return {
      x: [p.x[0]], y: [p.y[0]], mode: on && places[i] ? "markers+text" : "markers", name: safe(cut(p.look.name)), showlegend: on,
      text: [safe(cut(p.look.name))], textposition: places[i] || "top center", textfont: { size: 11, color: ink }, cliponaxis: false,
      error_x: bars(p.x), error_y: bars(p.y),
      hovertemplate: `<b>${safe(p.look.name)}</b>${p.reference ? " (reference)" : ""}, ${p.seeds} seed${p.seeds === 1 ? "" : "s"}<br>rate saved ${interval(p.x, 3)} ${ux}<br>usefulness gained ${interval(p.y, 3)} ${uy}<extra></extra>`,
      marker: { color, size: 10, symbol: p.look.symbol + (p.look.open ? "-open" : ""), line: { width: 1.5, color } },
    };
  });
  const axis = { ...axisOf(line), zeroline: true, zerolinecolor: "#888888", zerolinewidth: 1 };
  layout.xaxis = { ...axis, title: { text: `rate saved at equal distortion (${ux})   better →` }, range: rx };
  layout.yaxis = { ...axis, title: { text: narrow ? `usefulness gained (${uy})  better →` : `usefulness gained at equal rate (${uy})   better →` }, range: ry };
  if (narrow) layout.xaxis.title.text = `rate saved (${ux})  better →`;
  layout.margin.t = 20;
  legend(element, layout, points.filter((p) => show(p.model)).map((p) => cut(p.look.name)));
  Plotly.react(element, data, layout, CONFIG);
}

const digitsOf = (value, n = 3) => (value === null || value === undefined ? "–" : value.toFixed(n).replace("-", "−"));

// tables: numbers in the unit that was chosen, sorting, models that are sought, and a word where columns are out of sight

function inUnits() {
  for (const span of document.querySelectorAll(".unit")) span.textContent = unitOf(span.dataset.unit, Number(span.dataset.dims))[1];
  for (const cell of document.querySelectorAll("td[data-value]")) {
    const { value, low, high, unit, digits, signed, dims } = cell.dataset, [factor] = unitOf(unit, Number(dims));
    const n = Number(digits) + (factor < 0.5 ? 2 : 0), text = digitsOf(Number(value) * factor, n);
    const zero = !/[1-9]/.test(text), plain = zero ? text.replace("−", "") : text;
    const parts = [(signed === "1" && Number(value) > 0 && !zero ? "+" : "") + plain];
    if (low !== undefined) parts.push(el("small", {}, `${digitsOf(Number(low) * factor, n)} to ${digitsOf(Number(high) * factor, n)}`));
    cell.replaceChildren(...parts);
  }
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

function find() {
  for (const row of document.querySelectorAll("tr[data-model]")) row.classList.toggle("unsought", !sought(row.dataset.model));
}

const HINT = "more columns to the right: scroll this table sideways →";
const widths = new ResizeObserver((entries) => entries.forEach(({ target }) => hint(target)));

function hint(scroll) {
  const word = scroll.parentElement.querySelector(":scope > .hint");
  if (word) word.hidden = scroll.scrollWidth <= scroll.clientWidth + 2;
}
