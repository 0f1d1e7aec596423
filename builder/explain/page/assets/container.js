// A container's writable layer, played: what each command does to it, and what pybuild says then. The words are those
// that the program has; tests/explain compares them.
const box = { state: "none", id: "", files: new Map(), column: 0, log: [], commits: 0 };
const TAG = M.image.names.length ? shown(M.image.name) : short(M.image.id);
let columns4 = [];

const containerSection = () => section("container", t("containerTitle"), t("containerLead"), h("div.two",
  panel("", null, h("div", { id: "sheet" }), h("div.lab-tools", { id: "acts" }), h("p.mut", t("played"))), h("div.panel.terminal-panel", h("h3", t("whatHappens")), h("pre.terminal", { id: "terminal", tabindex: 0, role: "log", "aria-label": t("terminal"), dir: "ltr" }))));
// Files worth trying: the chosen one, one of the base, one that is deleted, and a new one.
function pickColumns() {
  const top = CHAINS[0].layers.length - 1, sees1 = (p) => versionsOf(p, 0, top).all.findLast((v) => sees(v, top)) ?? -1, found = [];
  const want = (test) => { for (let p = 1; p < F.n; p++) if (!found.includes(p) && test(p)) return found.push(p); };
  const isFile = (p) => { const v = sees1(p); return v >= 0 && F.kind[v] === FILE && F.size[v] > 0; };
  if (S.path > 0 && isFile(S.path)) found.push(S.path);
  else want((p) => isFile(p) && F.count[p] > 1) || want((p) => isFile(p) && F.layer[sees1(p)] > top / 2 && F.names[p][0] !== ".");
  want((p) => isFile(p) && /^(passwd|hosts|os-release|profile)$/.test(F.names[p])) || want((p) => isFile(p) && F.layer[sees1(p)] === 0);
  want((p) => sees1(p) < 0 && versionsOf(p, 0, top).all.some((v) => F.how[v] === DELETED && F.kind[v] === FILE));
  const folder = found.length ? pathOf(F.parent[found[0]]) : "/";
  columns4 = [...found.map((p) => ({ p, path: pathOf(p), v: sees1(p) })), { p: -1, v: -1, path: folder.replace(/\/$/, "") + "/notes.txt" }];
}
function drawContainer() {
  if (!F || !CHAINS.length || F.n < 2) return put(byId("sheet"), h("p.mut", t("noFiles")));
  if (!columns4.length) pickColumns();
  const top = CHAINS[0].layers.length - 1, chosen = columns4[box.column];
  const layers = [...new Set(columns4.flatMap((column) => (column.p < 0 ? [] : versionsOf(column.p, 0, top).all.filter((v) => F.change[v] !== IMPLIED).map((v) => F.layer[v]))))].sort((a, b) => b - a);
  const cell = (column, rank) => {
    const v = column.p < 0 ? undefined : versionsOf(column.p, 0, top).all.find((each) => F.layer[each] === rank && F.change[each] !== IMPLIED);
    if (v === undefined) return h("td");
    const gone = box.files.has(column.path);
    return h("td", h("span.cell", { class: `t${tints[layerOf(0, rank)]}` }, isMarker(v) ? "✕ " + t("coreWhiteout") : `${v === column.v && !gone ? "●" : "◌"} ${bytes(F.size[v])}`));
  };
  const act = box.files, exists = box.state !== "none";
  const seenNow = (column) => act.get(column.path) === "delete" || (column.v < 0 && !act.has(column.path)) ? h("span.mut", t("noSuchFile")) : h("bdi", shown(column.path.split("/").pop()));
  const mine = (column) => {
    const done = act.get(column.path);
    return h("td", h("span.cell.mine", done === "delete" ? (column.v < 0 ? "" : "✕ " + t("coreWhiteout")) : done ? `● ${bytes(column.v < 0 ? 6 : F.size[column.v])}` : ""));
  };
  put(byId("sheet"), h("div.scroll", { tabindex: 0, role: "group", "aria-label": t("containerTitle") }, h("table.sheet", h("thead", h("tr", h("th", { scope: "col" }, t("layer")), columns4.map((column, at) => h("th", { scope: "col" }, h("button.pick", { "aria-pressed": String(at === box.column), title: shown(column.path), onclick: () => { box.column = at; drawContainer(); } }, h("bdi", tail(column.path, 22))))))),
    h("tbody", h("tr.eye-row", h("th", { scope: "row" }, t("youSee")), columns4.map((column) => h("td", seenNow(column)))),
      exists && h("tr.writable", h("th", { scope: "row" }, t("writable")), columns4.map(mine)),
      box.commits > 0 && h("tr", h("th", { scope: "row" }, h("span.chip.small.t9", `L${OWN.length + 1}`), " ", t("committed")), columns4.map(() => h("td"))),
      layers.map((rank) => h("tr", h("th", { scope: "row" }, layerChip(layerOf(0, rank), "small")), columns4.map((column) => cell(column, rank))))))));
  const seesFile = chosen.v >= 0 ? act.get(chosen.path) !== "delete" : act.has(chosen.path) && act.get(chosen.path) !== "delete";
  const can = { run: !exists, write: exists, chmod: exists && seesFile, delete: exists && seesFile, diff: exists, commit: exists, rmi: true, rm: exists };
  const focused = document.activeElement && document.activeElement.dataset.act;
  put(byId("acts"), Object.keys(can).map((each) => h("button.pick", { "data-act": each, disabled: !can[each], onclick: () => doAct(each) }, t("act_" + each))));
  if (focused) byId("acts").querySelector(`[data-act=${focused}]`).focus();
  put(byId("terminal"), (box.log.length ? box.log : [["mut", t("pressRun")]]).map(([kind, text]) => h("span", { class: kind }, text + "\n")));
  byId("terminal").scrollTop = 1e6;
}
// The lines of `pybuild diff`: what the writable layer holds, folders on the way with it.
function diffLines() {
  const lines = new Map();
  for (const [path, what] of box.files) {
    const column = columns4.find((each) => each.path === path);
    if (what === "delete" && column.v < 0) continue;
    const parts = path.split("/");
    for (let at = 2; at < parts.length; at++) lines.set(parts.slice(0, at).join("/"), "C");
    lines.set(path, what === "delete" ? "D" : column.v < 0 ? "A" : "C");
  }
  return [...lines].sort(([a], [b]) => (a.split("/").join("\0") < b.split("/").join("\0") ? -1 : 1)).map(([path, sign]) => `${sign} ${shown(path)}`);
}
function doAct(what) {
  const column = columns4[box.column], path = shown(column.path), say = (kind, ...lines) => lines.forEach((line) => box.log.push([kind, line]));
  const container = box.id || (box.id = sha256(M.image.id + "web").slice(0, 12));
  if (what === "run") { box.state = "made"; say("typed", `$ pybuild run --name web ${TAG} sleep infinity`); say("mut", "  " + t("emptyLayer")); }
  if (what === "write") { say("typed", `# echo hello >> ${path}`); say("mut", "  " + t(column.v < 0 || box.files.get(column.path) === "delete" ? "newFile" : box.files.has(column.path) ? "alreadyUp" : "copiedUp", { size: bytes(column.v < 0 ? 6 : F.size[column.v]) })); box.files.set(column.path, "write"); }
  if (what === "chmod") { say("typed", `# chmod 600 ${path}`); say("mut", "  " + t(box.files.has(column.path) ? "alreadyUp" : "copiedWhole", { size: bytes(column.v < 0 ? 6 : F.size[column.v]) })); if (!box.files.has(column.path)) box.files.set(column.path, "chmod"); }
  if (what === "delete") { say("typed", `# rm ${path}`); say("mut", "  " + t(column.v < 0 ? "reallyGone" : "marked")); if (column.v < 0) box.files.delete(column.path); else box.files.set(column.path, "delete"); }
  if (what === "diff") { say("typed", "$ pybuild diff web"); say("", ...diffLines()); }
  if (what === "commit") { box.commits++; say("typed", `$ pybuild commit web ${TAG}-changed`); say("", "sha256:" + sha256(M.image.id + JSON.stringify([...box.files]))); say("mut", "  " + t("committedAs", { layer: `L${OWN.length + 1}` })); }
  if (what === "rm") { say("typed", "$ pybuild rm web"); say("", "web"); box.state = "none"; box.files.clear(); say("mut", "  " + t("layerGone")); }
  if (what === "rmi") {
    say("typed", `$ pybuild rmi ${TAG}`);
    if (box.state !== "none") say("error", `error: conflict: unable to remove repository reference "${TAG}" (must force) - container ${container} is using its referenced image ${short(M.image.id)}`, "hint: 'pybuild rm web' removes the container.");
    else { say("", `Untagged: ${TAG}`, `Deleted: ${M.image.id}`); say("mut", "  " + t("playedOnly")); }
  }
  drawContainer();
}
