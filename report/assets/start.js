// Puts everything in its place: choices that all parts share, and each part's first drawing.

// runs a part; one that fails says so in its place and costs no other
function guarded(element, draw) {
  return () => {
    try {
      draw();
    } catch (error) {
      element.replaceChildren(el("p", { className: "lost", role: "status" }, `This part could not be drawn (${error.message}); the rest of the page is whole.`));
    }
  };
}

const drawings = []; // [set, function], of all plots and parts
for (const element of document.querySelectorAll("[data-plot]")) drawings.push([payload.plots[element.dataset.plot].set, guarded(element, () => frontier(element))]);
for (const element of document.querySelectorAll("[data-map]")) drawings.push([element.dataset.map, guarded(element, () => chart(element))]);
const PARTS = { useful, scores, codes, learning, structure };
for (const box of document.querySelectorAll("[data-explore]")) {
  const id = box.dataset.set;
  guarded(box, () => drawings.push([id, guarded(box, PARTS[box.dataset.explore](box, payload.sets[id]))]))();
}

function redraw(id = null) {
  for (const [set, draw] of drawings) if (id === null || set === id) draw();
}

// which models are in colour: one choice for all plots of a data set
for (const place of document.querySelectorAll("[data-groups]")) {
  const id = place.dataset.groups, groups = groupsOf(id), { looks } = payload.sets[id];
  if (groups.length < 2) continue;
  const text = ([title, models]) => `${models.slice(0, 3).map((m) => cut(looks[m].name)).join(", ")}${models.length > 3 ? `, … (${models.length})` : ""}${title ? `: ${title}` : ""}`;
  const select = el("select", { className: "group" });
  offer(select, [...groups.map((group, i) => [i, text(group)]), [-1, `all ${looks.length} models`]], 0);
  select.addEventListener("change", () => {
    state.group[id] = Number(select.value);
    for (const other of document.querySelectorAll(`[data-groups="${CSS.escape(id)}"] select`)) other.value = select.value;
    redraw(id);
  });
  place.append(el("label", {}, "In colour ", select));
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".scroll").forEach((scroll) => widths.observe(scroll));
document.getElementById("unit").addEventListener("change", (event) => {
  state.unit = event.target.value;
  inUnits();
  redraw();
});
let waiting = null;
document.getElementById("find").addEventListener("input", (event) => {
  state.wanted = event.target.value.trim().toLowerCase();
  find();
  clearTimeout(waiting);
  waiting = setTimeout(redraw, 250);
});
dark.addEventListener("change", () => redraw());

// a link to a part that is folded unfolds it; paper has everything unfolded
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
}
addEventListener("hashchange", unfold);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
unfold();
redraw();
document.documentElement.dataset.drawn = "all";
