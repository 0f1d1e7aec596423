// Files after a step, as a tree of which only the rows in sight exist; or what one layer has, or how its tar lists it.
const ROW = 26, SPARE = 8;
let now = null;       // fileSystem(…) of the place
let listed = [];      // rows: {p, v, depth, kind…}
const opened = new Map(); // folders that the reader opened (true) or closed (false)
let cursor = 0, opens = new Set(), hits = null;

function treePanel() {
  const views = h("div.segments", { role: "group", "aria-label": t("view") }, ["union", "layer", "tar"].map((view) =>
    h("button", { "data-view": view, "aria-pressed": "false", onclick: () => change({ view }) }, t("view_" + view))));
  return h("div.panel.tree-panel", { "data-pane": "files" },
    h("div.panel-head", h("h3", { id: "tree-title" }), views),
    h("div.find", h("input", { type: "search", id: "find", placeholder: t("find"), "aria-label": t("find"), oninput: (event) => change({ find: event.target.value }) }),
      h("label", { id: "ghosts-label" }, h("input", { type: "checkbox", id: "ghosts", checked: true, onchange: (event) => change({ ghosts: event.target.checked }) }), " ", t("ghosts"))),
    h("p.sums", { id: "sums", "aria-live": "polite" }),
    h("div.tree", { id: "tree", role: "tree", tabindex: 0, "aria-labelledby": "tree-title", onkeydown: treeKeys, onclick: treeClick, onscroll: drawRows },
      h("div", { id: "rows", class: "rows", role: "presentation" })),
    h("p.legend", { id: "tree-legend" }));
}
function refreshTree() {
  const where = place();
  byId("tree-title").textContent = S.step < 0 ? t("files") : t("title_" + S.view, { step: stepName(S.step), layer: where ? LAYERS[layerOf(where.chain, where.rank)].name : "" });
  for (const button of document.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === S.view));
  const missing = !where ? t("noFiles") : CHAINS[where.chain].missing ? t("tooManyFiles") : S.view !== "union" && LAYERS[layerOf(where.chain, where.rank)].missing;
  if (!F || missing) {
    now = null; listed = [];
    put(byId("sums"), F ? missing : t("unpacking"));
    put(byId("tree-legend"));
    return drawRows();
  }
  now = fileSystem(where);
  hits = S.find ? findHits(S.find) : null;
  list();
  const { sums } = now;
  if (S.view === "union") put(byId("sums"), t("sums", { n: sums.files, size: bytes(sums.bytes) }), sums.hidden > 0 && " · " + t("sumsHidden", { size: bytes(sums.hidden) }),
    !where.base && h("span.amd", ["A", "M", "D"].map((sign) => [" ", letter(sign), " ", count(sums[sign])])));
  else put(byId("sums"), t("entries", { n: listed.length }), S.view === "tar" && !entries(where).known && " · " + t("orderUnknown"));
  byId("ghosts-label").hidden = S.view !== "union";
  put(byId("tree-legend"), S.view === "union"
    ? [letter("A"), " ", t("added"), "  ", letter("M"), " ", t("changed"), "  ", letter("D"), " ", t("deleted"), "  ", h("s", t("ghostName")), " ", t("ghostLegend")]
    : [h("code", ".wh."), t("whiteoutLegend")]);
}
let kept = null;
const entries = (where) => {
  const key = `${where.chain}/${where.rank}`;
  if (!kept || kept.key !== key) kept = { key, ...entriesOf(where.chain, where.rank) };
  return kept;
};
const letter = (sign) => h("span", { class: "letter " + sign, title: t({ A: "added", M: "changed", D: "deleted" }[sign]) }, sign);
function findHits(text) {
  const wanted = text.toLowerCase(), inPath = wanted.includes("/"), found = new Uint8Array(F.n);
  for (let p = 1; p < F.n; p++) {
    const it = inPath ? pathOf(p) : F.names[p];
    if (!it.toLowerCase().includes(wanted)) continue;
    found[p] = 2;
    for (let up = F.parent[p]; up > 0 && !found[up]; up = F.parent[up]) found[up] = 1;
  }
  return found;
}
// Rows in order. Folders in which the step changed something are open, until the reader closes them.
function list() {
  listed = [];
  const where = now;
  if (S.view !== "union") {
    const { list: all, storedName } = entries(where);
    for (const v of all) {
      if (hits && !hits[F.owner[v]]) continue;
      if (S.view === "layer" && !F.owner[v] && F.change[v] !== OPAQUE) continue;
      listed.push({ p: F.owner[v], v, stored: storedPath(v, storedName), depth: 0 });
    }
    return;
  }
  opens = new Set();
  const visit = (p, depth) => {
    for (const child of F.children[p] || []) {
      if (hits && !hits[child]) continue;
      const seen = now.seen[child], shows = now.shows[child];
      if (!shows || (!S.ghosts && seen < 0)) continue;
      const v = seen >= 0 ? seen : now.ghost[child] >= 0 ? now.ghost[child] : now.marker[child];
      const below = (F.children[child] || []).some((each) => now.shows[each] && (S.ghosts || now.seen[each] >= 0));
      const own = now.letter[child] ? 1 : 0;
      const isOpen = below && (hits ? hits[child] === 1 : opened.get(child) ?? now.changed[child] - own > 0);
      listed.push({ p: child, v, depth, below, isOpen });
      if (isOpen) { opens.add(child); visit(child, depth + 1); }
    }
  };
  if (F.n) visit(0, 0);
}
function drawRows() {
  const tree = byId("tree"), holder = byId("rows");
  holder.style.setProperty("--height", Math.max(listed.length * ROW, 1) + "px");
  cursor = Math.max(0, Math.min(cursor, listed.length - 1));
  const printing = document.documentElement.classList.contains("printing");
  const from = printing ? 0 : Math.max(0, Math.floor(tree.scrollTop / ROW) - SPARE);
  const to = printing ? Math.min(160, listed.length) : Math.min(listed.length, Math.ceil((tree.scrollTop + tree.clientHeight) / ROW) + SPARE);
  const made = [];
  for (let at = from; at < to; at++) made.push(row(at));
  put(holder, made);
  if (made.length && cursor >= from && cursor < to) tree.setAttribute("aria-activedescendant", "row" + cursor);
  else tree.removeAttribute("aria-activedescendant");
}
function row(at) {
  const it = listed[at], { p, v } = it, flat = S.view !== "union";
  const isFolder = v >= 0 ? F.kind[v] === DIRECTORY : true, isSeen = flat || now.seen[p] >= 0;
  const sign = flat ? 0 : now.letter[p];
  const element = h("div", {
    id: "row" + at, class: "file" + (isSeen ? "" : v >= 0 && isMarker(v) && now.ghost[p] < 0 ? " unknown" : " gone") + (p === S.path ? " chosen" : "") + (isFolder ? " folder" : "") + (at === cursor ? " at" : ""),
    role: "treeitem", "aria-level": it.depth + 1, "aria-setsize": listed.length, "aria-posinset": at + 1, "aria-selected": String(p === S.path), "aria-expanded": it.below ? String(it.isOpen) : null, "data-at": at });
  element.style.setProperty("--top", at * ROW + "px");
  const twist = h("span.twist", { "aria-hidden": "true" }, it.below ? (it.isOpen ? "▾" : "▸") : "");
  twist.style.setProperty("--depth", it.depth);
  const label = h("span.label", { title: shown(flat ? it.stored : pathOf(p)) }, sign ? letter(String.fromCharCode(sign)) : !flat && h("span.letter.none"),
    name(flat ? it.stored : F.names[p] + (isFolder && isSeen ? "/" : ""), { class: "name" }), v >= 0 && F.links[v] !== undefined && h("span.mut", F.kind[v] === HARDLINK ? " = " : " → ", name(F.links[v])), remark(it));
  const cells = [h("span.mode", v >= 0 && !isMarker(v) ? octal(mode(v)) : "")];
  if (S.view === "tar" && v >= 0) cells.unshift(h("span.kind", isMarker(v) ? "-" : SIGNS[F.kind[v]]));
  if (flat && v >= 0) cells.push(h("span.owner", isMarker(v) ? "" : owners(v)));
  if (S.view === "tar" && v >= 0) cells.push(h("span.time", isMarker(v) ? "" : moment(v)));
  const size = flat || !isFolder ? (v >= 0 ? F.size[v] : 0) : now.size[p];
  cells.push(h("span.bytes", v >= 0 && (isMarker(v) ? flat : true) && (!isFolder || (!flat && isSeen)) ? bytes(size) : ""));
  if (!flat) cells.push(h("span.in", v >= 0 && !isFolder && !(isMarker(v) && now.ghost[p] < 0) ? layerChip(layerOf(chainOf(v), F.layer[v]), "small") : ""));
  append(element, [flat ? "" : twist, label, cells]);
  return element;
}
const chainOf = (v) => F.chain[v];
const moment = (v) => { const time = F.moments[F.times[v]]; return time ? new Date(time * 1000).toISOString().slice(0, 16).replace("T", " ") : "1970-01-01 00:00"; };
// What is strange about a row, in words.
function remark(it) {
  const { p, v } = it;
  if (v < 0) return "";
  let text = "";
  if (S.view !== "union") {
    const kind = F.change[v];
    if (kind === WHITEOUT) text = t("hidesBelow");
    else if (kind === OPAQUE) text = t("hidesAllBelow");
  } else if (now.seen[p] < 0 && now.ghost[p] >= 0) {
    const by = F.by[now.ghost[p]];
    if (by >= 0) text = t("hiddenBy", { layer: LAYERS[layerOf(F.chain[now.ghost[p]], by)].name });
  } else if (now.seen[p] < 0) text = t("hidesNothing");
  else if (now.marker[p] >= 0 && F.change[now.marker[p]] === OPAQUE) text = t("emptied");
  else if (now.ghost[p] >= 0) {
    const older = now.ghost[p];
    if (F.kind[older] === DIRECTORY && F.kind[v] !== DIRECTORY) text = t("replacesFolder");
    else if (F.kind[v] === FILE && F.kind[older] === FILE) text = F.how[older] === SAME_CONTENT ? sameContentWords(older, v) : t("covers", { size: bytes(F.size[older]) });
  }
  return text && h("span.remark", text);
}
function sameContentWords(older, v) {
  if (mode(older) !== mode(v)) return t("onlyMode", { was: octal(mode(older)), now: octal(mode(v)) });
  if (owners(older) !== owners(v)) return t("onlyOwner", { was: owners(older), now: owners(v) });
  return t("sameBytes");
}
function choose(at, toggle) {
  const it = listed[at];
  if (!it) return;
  cursor = at;
  if (toggle && it.below) { opened.set(it.p, !it.isOpen); list(); }
  change({ path: it.p });
}
function treeClick(event) {
  const element = event.target.closest(".file");
  if (element) choose(Number(element.dataset.at), true);
}
function treeKeys(event) {
  const it = listed[cursor], page = Math.max(1, Math.floor(byId("tree").clientHeight / ROW) - 1);
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9 };
  if (event.key in steps) cursor += steps[event.key];
  else if (event.key === "ArrowRight" && it && it.below && !it.isOpen) { opened.set(it.p, true); list(); }
  else if (event.key === "ArrowRight" && it && it.isOpen) cursor++;
  else if (event.key === "ArrowLeft" && it && it.isOpen) { opened.set(it.p, false); list(); }
  else if (event.key === "ArrowLeft" && it) { const up = listed.findIndex((other) => other.p === F.parent[it.p]); if (up >= 0) cursor = up; }
  else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); return choose(cursor, true); }
  else return;
  event.preventDefault();
  cursor = Math.max(0, Math.min(cursor, listed.length - 1));
  reveal(cursor);
  if (listed[cursor]) change({ path: listed[cursor].p });
}
function reveal(at) {
  const tree = byId("tree"), top = at * ROW;
  if (top < tree.scrollTop + ROW) tree.scrollTop = Math.max(0, top - ROW);
  else if (top + ROW > tree.scrollTop + tree.clientHeight - ROW) tree.scrollTop = top - tree.clientHeight + 2 * ROW;
}
// Show one file, wherever it is folded away; `step` is where it is worth looking at.
function showPath(p, step, layer = null) {
  for (let up = F.parent[p]; up > 0; up = F.parent[up]) opened.set(up, true);
  S.find = byId("find").value = "";
  change({ path: p, view: "union", ghosts: (byId("ghosts").checked = true), ...(step === undefined ? {} : { step, layer }) });
  const at = listed.findIndex((it) => it.p === p);
  if (at >= 0) { cursor = at; reveal(at); drawRows(); }
}
watch((news) => {
  if ("step" in news || "view" in news || "ghosts" in news || "find" in news || "files" in news) {
    refreshTree();
    if (F && now && ("step" in news || "files" in news)) {
      let at = listed.findIndex((it) => it.p === S.path);
      const isChanged = at >= 0 && (S.view !== "union" || now.letter[listed[at].p]);
      if (!isChanged) { const first = S.view === "union" ? listed.findIndex((it) => now.letter[it.p] && !it.isOpen) : 0; if (first >= 0) at = first; }
      if (at >= 0) { cursor = at; byId("tree").scrollTop = Math.max(0, (at - 4) * ROW); }
    } else if ("find" in news || "view" in news) { cursor = 0; byId("tree").scrollTop = 0; }
    drawRows();
  } else if ("path" in news || "sheet" in news) drawRows();
});
