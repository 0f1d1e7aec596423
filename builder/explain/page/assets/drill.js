// The core: one path drilled through all layers, looked at from the top. The bore is open down to what is seen.
function drillPanel() {
  return h("div.panel.drill-panel", { "data-pane": "core", id: "drill", "aria-live": "polite" });
}
const has = (versions, rank) => versions.filter((v) => F.layer[v] === rank);

function drawDrill() {
  const panel = byId("drill"), where = place();
  if (!F || !where || S.path < 0 || CHAINS[where.chain].missing) return put(panel, h("h3", t("core")), h("p.mut", t("chooseFile")), emptyCore());
  const p = S.path, { all, rank: top } = versionsOf(p, where.chain, where.rank);
  const chain = where.chain, layers = CHAINS[chain].layers;
  const seen = all.findLast((v) => sees(v, top)) ?? -1;
  const slabs = [];
  let quiet = [];
  const flush = () => {
    if (quiet.length > 3 || (quiet.length > 1 && layers.length > 12)) slabs.push(h("li.slab.many", h("span", { class: "bore" + (bored ? " open" : "") }), h("span.slab-name", t("layersWithout", { n: quiet.length }))));
    else for (const rank of quiet) slabs.push(slab(rank, [], ""));
    quiet = [];
  };
  let bored = true;
  const slab = (rank, signs, words, kind = "") => h("li", { class: `slab t${tints[layers[rank]]} ${kind}${rank > where.rank ? " later" : ""}`, "data-rank": rank },
    h("span", { class: "bore" + (bored && rank <= where.rank ? " open" : "") }, signs),
    h("button", { class: "slab-name", onclick: () => goToLayer(layers[rank]), title: stepText(stepOfLayer(layers[rank]), 120) }, h("b", LAYERS[layers[rank]].name), " ", words || shown((STEPS[stepOfLayer(layers[rank])] || {}).instruction || "")));
  for (let rank = layers.length - 1; rank >= 0; rank--) {
    const here = has(all, rank);
    const swept = !here.length && all.some((v) => F.by[v] === rank && F.how[v] === DELETED);
    if (!here.length && !swept) { quiet.push(rank); continue; }
    flush();
    const version = here.find((v) => !isMarker(v)), white = here.some((v) => F.change[v] === WHITEOUT) || swept;
    const opaque = here.some((v) => F.change[v] === OPAQUE);
    if (version !== undefined && F.change[version] !== IMPLIED) {
      const isSeen = version === seen;
      const size = F.kind[version] === FILE ? " · " + bytes(F.size[version]) : "";
      slabs.push(slab(rank, isSeen ? "●" : "◌", rank > where.rank ? t("coreLater") + size : isSeen ? t("coreSeen") + size : t("coreHidden") + size, isSeen ? "is-seen" : "is-hidden"));
      if (isSeen) bored = false;
    } else if (white) {
      slabs.push(slab(rank, "✕", swept ? t("coreSwept") : t("coreWhiteout"), "is-white"));
      if (rank <= where.rank) bored = false;
    } else slabs.push(slab(rank, opaque ? "⊘" : "·", opaque ? t("coreOpaque") : t("coreImplied"), "is-white"));
  }
  flush();
  put(panel, h("h3", t("core")), h("p.path", name(pathOf(p))), h("p.eye", h("span", { "aria-hidden": "true" }, "👁 ".trim().replace("👁", "◉")), " ", t("lookFrom")),
    h("ol.slabs", slabs), h("p.sentence", drillSentence(p, all, seen, top, chain)), seen >= 0 && attributes(seen));
}
function emptyCore() {
  return h("ol.slabs", [...OWN].reverse().slice(0, 14).map((at) => h("li", { class: `slab t${tints[at]}` }, h("span.bore"),
    h("button", { class: "slab-name", onclick: () => goToLayer(at) }, h("b", LAYERS[at].name), " ", bytes(LAYERS[at].size)))));
}
function drillSentence(p, all, seen, top, chain) {
  const layerName = (rank) => LAYERS[layerOf(chain && rank < CHAINS[chain].shared ? 0 : chain, rank)].name;
  const below = all.filter((v) => !isMarker(v) && F.layer[v] <= top && v !== seen && isLost(v) && F.kind[v] === FILE);
  if (seen >= 0) {
    if (F.kind[seen] === DIRECTORY) return t("sayFolder", { layer: layerName(F.layer[seen]) });
    if (!below.length) return t("saySeen", { layer: layerName(F.layer[seen]) });
    const last = below[below.length - 1];
    if (F.how[last] === SAME_CONTENT) return t("sayCopied", { layer: layerName(F.layer[seen]), size: bytes(F.size[seen]), below: layerName(F.layer[last]), what: sameContentWords(last, seen) });
    return t("sayCovers", { layer: layerName(F.layer[seen]), n: below.length, size: bytes(below.reduce((sum, v) => sum + F.size[v], 0)) });
  }
  const gone = all.filter((v) => !isMarker(v) && F.layer[v] <= top);
  if (!gone.length) return all.some((v) => F.layer[v] > top) ? t("sayNotYet") : t("sayNever");
  const last = gone[gone.length - 1];
  return t("sayDeleted", { by: layerName(F.by[last]), layer: layerName(F.layer[last]) });
}
function attributes(v) {
  const rows = [["mode", `${SIGNS[F.kind[v]]} ${octal(mode(v))}`], ["owner", owners(v)], ["time", moment(v)]];
  if (F.kind[v] === FILE) rows.splice(2, 0, ["size", `${count(F.size[v])} B`]);
  if (F.links[v]) rows.push(["link", shown(F.links[v])]);
  if (F.xattrs[v]) rows.push(["xattrs", F.xattrs[v].map((each) => shown(each)).join(", ")]);
  if (F.devices[v]) rows.push(["device", F.devices[v].join(", ")]);
  if (F.same[v]) {
    const twin = F.same.findIndex((same, other) => same === F.same[v] && F.owner[other] !== F.owner[v]);
    if (twin >= 0) rows.push(["twin", shown(pathOf(F.owner[twin]))]);
  }
  return h("dl.attributes", rows.map(([key, value]) => h("div", h("dt", t("attribute_" + key)), h("dd", { dir: "ltr" }, value))));
}
watch((news) => { if ("step" in news || "path" in news || "files" in news || "sheet" in news) drawDrill(); });
