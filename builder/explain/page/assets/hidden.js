// Bytes that are stored and not seen: as areas, as a list, and what of them looks like a secret.
function secretFiles() {
  if (!F) return [];
  const found = [];
  for (const p of F.secret) {
    const { all } = versionsOf(p, 0, CHAINS[0].layers.length - 1);
    for (const v of all) if (F.kind[v] === FILE && F.size[v] && !isMarker(v)) found.push({ p, v, hidden: isLost(v) });
  }
  return found.sort((a, b) => b.hidden - a.hidden);
}
const hiddenSection = () => section("hidden", t("hiddenTitle"), t("hiddenLead"), h("div.two", { id: "waste" }, panel("", null, h("p.mut", t("unpacking")))));
const KIND_NAMES = { [DELETED]: "deleted", [OVERWRITTEN]: "overwritten", [SAME_CONTENT]: "copied" };

function drawHidden() {
  if (!F || !CHAINS.length) return put(byId("waste"), panel("", { class: "note" }, h("p", t("noFiles"))));
  const lost = lostVersions(), all = sum(lost.map((v) => F.size[v])), kinds = {};
  for (const v of lost) kinds[F.how[v]] = (kinds[F.how[v]] || 0) + F.size[v];
  const pairs = new Map();
  for (const v of lost) {
    const key = `${F.layer[v]} ${F.by[v]}`;
    pairs.set(key, (pairs.get(key) || 0) + F.size[v]);
  }
  const worst = [...pairs].sort((a, b) => b[1] - a[1])[0];
  let advice = "";
  if (worst && worst[1] > 2000) {
    const [made, gone] = worst[0].split(" ").map(Number).map((rank) => layerOf(0, rank));
    advice = isBase(LAYERS[made]) ? t("adviceBase", { size: bytes(worst[1]), layer: LAYERS[made].name })
      : t("advice", { size: bytes(worst[1]), step: stepName(stepOfLayer(made)), later: stepName(stepOfLayer(gone)) });
  }
  const left = panel(t("hiddenByFile"), null, lost.length ? [treemap(lost), h("p.legend", [DELETED, SAME_CONTENT, OVERWRITTEN].filter((kind) => kinds[kind]).map((kind) =>
    h("span", h("i", { class: "swatch how" + kind }), " ", t("how_" + KIND_NAMES[kind]), " ", bytes(kinds[kind])))),
    h("p.said-big", t("hiddenTotal", { size: bytes(all), all: bytes(M.image.stored), part: percent(all, M.image.stored) })), h("p.mut", t("efficiency", { part: percent(M.image.efficiency, 1) }))]
    : h("p.said-big", t("nothingHidden")), advice && h("p.advice", advice));
  put(byId("waste"), left, panel(t("stillReadable"), null, secretList(), leftovers(lost)));
}
function secretList() {
  const files = secretFiles(), found = [];
  for (const { p, v, hidden } of files.slice(0, 8)) {
    const layer = layerOf(0, F.layer[v]), blob = LAYERS[layer].digest || LAYERS[layer].diff_id;
    found.push(h("div.secret", h("p", h("b", t("looksSecret")), " ", h("button", { class: "linkish", onclick: () => showPath(p, stepOfLayer(hidden ? layerOf(0, F.by[v]) : layer)) }, name(pathOf(p))), ", ", bytes(F.size[v]), ". ",
      hidden ? t("secretDeleted", { layer: LAYERS[layer].name, by: stepName(stepOfLayer(layerOf(0, F.by[v]))) }) : t("secretSeen", { layer: LAYERS[layer].name }), " ", t("valueNotHere")),
      h("code.shell", { dir: "ltr" }, `tar -xOf blobs/sha256/${short(blob)}… '${shown(pathOf(p).slice(1)).replaceAll("'", "'\\''")}'`),
      h("p.mut", t("secretBetter"))));
  }
  for (const each of M.findings) found.push(h("div.secret", h("p", h("b", t("secretKind_" + each.kind)), " ", each.name ? code(each.name) : t("aPassword"), each.step !== null && [" · ", h("button", { class: "linkish", onclick: () => goTo(each.step) }, stepName(each.step))], ". ", t("secretWhere_" + each.kind), " ", t("valueNotHere"))));
  return found;
}
function leftovers(lost) {
  const gone = lost.filter((v) => F.how[v] === DELETED);
  if (!gone.length) return h("p.mut", t("nothingDeleted"));
  return [h("table.leftovers", h("thead", h("tr", ["path", "size", "in", "hiddenByHead"].map((head) => h("th", { scope: "col" }, t("head_" + head))))),
    h("tbody", gone.slice(0, 8).map((v) => h("tr", h("td", h("button", { class: "linkish", title: shown(pathOf(F.owner[v])), onclick: () => showPath(F.owner[v], stepOfLayer(layerOf(0, F.by[v]))) }, h("bdi", tail(pathOf(F.owner[v]), 38)))),
      h("td.num", bytes(F.size[v])), h("td", layerChip(layerOf(0, F.layer[v]), "small")), h("td", layerChip(layerOf(0, F.by[v]), "small"), " ", stepName(stepOfLayer(layerOf(0, F.by[v])))))))),
    gone.length > 8 && h("p.mut", t("andMore", { n: gone.length - 8 }))];
}
const tail = (path, most) => { const text = shown(path); return text.length > most ? "…" + text.slice(1 - most) : text; };

// Squarified (Bruls, Huizing, van Wijk): rows of tiles as square as they can be. Sizes below a visible one are raised to it.
function treemap(lost) {
  const shownTiles = lost.slice(0, 36), rest = lost.slice(36), items = shownTiles.map((v) => ({ v, size: F.size[v] }));
  if (rest.length) items.push({ v: -1, n: rest.length, size: sum(rest.map((v) => F.size[v])) });
  const least = sum(items.map((item) => item.size)) / 260;
  for (const item of items) item.area = Math.max(item.size, least);
  items.sort((a, b) => b.area - a.area);
  const scale = 60 / sum(items.map((item) => item.area)), tiles = [];
  let x = 0, y = 0, w = 10, hgt = 6, row = [];
  const worstOf = (list, side) => { const total = sum(list); return Math.max(...list.map((area) => Math.max((side * side * area) / (total * total), (total * total) / (side * side * area)))); };
  const flush = () => {
    const total = sum(row.map((item) => item.area * scale)), wide = w >= hgt, side = total / (wide ? hgt : w);
    let at = 0;
    for (const item of row) { const length = (item.area * scale) / side; tiles.push([item, wide ? [x, y + at, side, length] : [x + at, y, length, side]]); at += length; }
    if (wide) { x += side; w -= side; } else { y += side; hgt -= side; }
    row = [];
  };
  for (const item of items) {
    const side = Math.min(w, hgt), areas = row.map((each) => each.area * scale);
    if (row.length && worstOf([...areas, item.area * scale], side) > worstOf(areas, side)) flush();
    row.push(item);
  }
  if (row.length) flush();
  const map = h("div.treemap", { role: "group", "aria-label": t("hiddenByFile") });
  for (const [item, [left, top, width, height]] of tiles) {
    const { v } = item, big = width * height > 2.2 && width > 1.5, some = width > 0.9 && height > 0.5;
    const title = v < 0 ? t("andMore", { n: item.n }) : t("tile", { path: shown(pathOf(F.owner[v])), size: bytes(F.size[v]), layer: LAYERS[layerOf(0, F.layer[v])].name, by: LAYERS[layerOf(0, F.by[v])].name, how: t("how_" + KIND_NAMES[F.how[v]]) });
    const tile = h("button", { class: v < 0 ? "tile rest" : `tile t${tints[layerOf(0, F.layer[v])]} how${F.how[v]}`, title, "aria-label": title, onclick: () => v >= 0 && showPath(F.owner[v], stepOfLayer(layerOf(0, F.by[v]))) },
      v < 0 ? h("span", t("more", { n: item.n })) : some && h("span", h("bdi", tail(F.names[F.owner[v]], big ? 40 : 12)), big && h("small", `${bytes(F.size[v])} · ${LAYERS[layerOf(0, F.layer[v])].name} → ${LAYERS[layerOf(0, F.by[v])].name}`)));
    for (const [key, value, all] of [["--x", left, 10], ["--y", top, 6], ["--w", width, 10], ["--h", height, 6]]) tile.style.setProperty(key, (100 * value) / all + "%");
    map.append(tile);
  }
  return map;
}
