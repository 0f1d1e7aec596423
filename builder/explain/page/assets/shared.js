// What two images share, and what a push sends. Without a second image: what all images on the same base share.
function sharedSection() {
  const base = OWN.filter((at) => isBase(LAYERS[at]));
  const other = M.other || (base.length ? { name: t("anyOnBase"), layers: base.map((at) => LAYERS[at]), isBase: true } : null);
  if (!other) return section("shared", t("sharedTitle"), t("sharedLead"), panel("", { class: "note" }, h("p", t("sharedAlone"))));
  const rows = [], known = new Set(other.layers.map((layer) => layer.digest)), packed = (layer) => layer.packed_size ?? layer.tar_size ?? layer.size ?? 0;
  let same = 0, sameBytes = 0;
  for (let rank = 0; rank < Math.max(OWN.length, other.layers.length); rank++) {
    const mine = LAYERS[OWN[rank]], theirs = other.layers[rank];
    const blob = mine && known.has(mine.digest), chain = mine && theirs && mine.chain_id === theirs.chain_id;
    if (blob) { same++; sameBytes += packed(mine); }
    rows.push(h("tr", { class: blob ? "same" : "" }, h("td", mine && layerChip(OWN[rank])), h("td", mine && code(short(mine.digest))), h("td.joint", { "aria-hidden": "true" }, chain ? "━━━" : mine && theirs ? "≠" : ""), h("td", theirs && code(short(theirs.digest))),
      h("td", !mine ? t("onlyThere") : chain ? t("sameChain") : blob ? t("sameBlob") : theirs ? t("differs", { step: stepText(mine.step, 36) }) : other.isBase ? stepText(mine.step, 44) : t("onlyHere")), h("td.num", bytes(packed(mine || theirs)))));
  }
  const sent = OWN.filter((at) => !known.has(LAYERS[at].digest)), kept = OWN.filter((at) => known.has(LAYERS[at].digest));
  const total = (list) => sum(list.map((at) => packed(LAYERS[at])));
  const exact = OWN.every((at) => LAYERS[at].packed_size !== null);
  const theirOnly = M.other ? M.other.layers.filter((layer) => !OWN.some((at) => LAYERS[at].digest === layer.digest)) : [];
  return section("shared", t("sharedTitle"), t("sharedLead"), h("div.two",
    panel(t("beside", { name: shown(M.image.name), other: shown(other.name) }), null, h("div.scroll", { tabindex: 0, role: "group", "aria-label": t("sharedTitle") }, h("table.pairs", h("thead", h("tr", h("th", { scope: "col" }), h("th", { scope: "col" }, name(M.image.name)), h("th", { scope: "col" }), h("th", { scope: "col" }, shown(other.name)), h("th", { scope: "col" }), h("th.num", { scope: "col" }, t(exact ? "head_packed" : "head_size")))), h("tbody", rows))), h("p.said-big", t("blobsShared", { n: same, size: bytes(sameBytes) }))),
    panel(t("pushTitle"), null, h("p", t(other.isBase ? "pushAssumeBase" : "pushAssume", { other: shown(other.name) })), h("dl.push", [["✓", "isThere", kept], ["↑", "isSent", sent]].map(([sign, key, list]) => h("div", h("dt", sign + " " + t(key)), h("dd.chips", list.slice(0, 40).map((at) => layerChip(at, "small"))), h("dd.num", bytes(total(list)))))),
      h("p.said-big", t("crossWire", { sent: bytes(total(sent)), all: bytes(total(OWN)) })), h("p.mut", t(exact ? "plusDocuments" : "plusUnpacked", { size: bytes(UTF8.encode(M.config.text).length + UTF8.encode(M.manifest).length) })),
      M.other && [h("h3", t("freeTitle", { other: shown(other.name) })), h("p", t("freed", { n: theirOnly.length, size: bytes(sum(theirOnly.map(packed))) }))], h("p.mut", t("mountNote")))));
}
