// Names made of bytes: every digest computed again, from the config and manifest as they are, and layers where they are.
const lab = { layer: 0, flip: false, gzip: false, tars: new Map() };
const MASKED = M.config.masked.length > 0;

function digestsSection() {
  lab.layer = Math.max(0, OWN.length - 1);
  return section("digests", t("digestsTitle"), t("digestsLead"),
    h("div.lab-tools", h("label", { for: "lab-layer" }, t("layer")), " ", h("select", { id: "lab-layer", onchange: (event) => { lab.layer = Number(event.target.value); drawLab(); } },
      OWN.map((at, rank) => h("option", { value: rank, ...(rank === lab.layer ? { selected: true } : {}) }, `${LAYERS[at].name}  ${stepText(stepOfLayer(at), 44)}`))),
    h("button.pick", { id: "flip", "aria-pressed": "false", onclick: () => toggle("flip") }, t("flipBit")),
    h("button.pick", { id: "repack", "aria-pressed": "false", hidden: true, onclick: () => toggle("gzip") }, t("repack")), h("span.mut", { id: "lab-time", "aria-live": "polite" })),
    h("div.flow", { id: "flow" }));
}
function toggle(what) {
  lab[what] = !lab[what];
  byId({ flip: "flip", gzip: "repack" }[what]).setAttribute("aria-pressed", String(lab[what]));
  drawLab();
}
const isGzip = (at) => /gzip/.test(LAYERS[at].media_type);
async function tarOf(at) {
  if (!M.blobs[at] || /zstd/.test(LAYERS[at].media_type)) return null;
  if (!lab.tars.has(at)) {
    const blob = fromBase64(M.blobs[at]);
    lab.tars.set(at, { blob, tar: isGzip(at) ? await through(blob, new DecompressionStream("gzip")) : blob });
  }
  return lab.tars.get(at);
}
// Another digest that a layer would have, if its bytes can't be changed here.
const flipped = (digest) => digest.slice(0, -1) + (parseInt(digest.slice(-1), 16) ^ 1).toString(16);
async function drawLab() {
  const at = OWN[lab.layer];
  if (at === undefined) return put(byId("flow"), panel("", { class: "note" }, t("noLayers")));
  const layer = LAYERS[at], held = await tarOf(at), started = performance.now();
  byId("repack").hidden = !held;
  byId("repack").textContent = t(isGzip(at) ? "unpackIt" : "repack");
  let tar = held && held.tar, blob = held && held.blob;
  if (held && lab.flip) { tar = tar.slice(); tar[0] ^= 32; }
  if (held && (lab.flip || lab.gzip)) blob = isGzip(at) !== lab.gzip ? await through(tar, new CompressionStream("gzip")) : tar;
  const diff = "sha256:" + (held ? sha256(tar) : lab.flip ? flipped(short64(layer.diff_id)) : short64(layer.diff_id));
  const digest = held ? "sha256:" + sha256(blob) : lab.flip ? null : layer.digest;
  let chain = "";
  const chains = OWN.map((each, rank) => {
    const own = rank === lab.layer ? diff : LAYERS[each].diff_id;
    return (chain = rank ? "sha256:" + sha256(chain + " " + own) : own);
  });
  const config = M.config.text.replaceAll(layer.diff_id, diff);
  const id = MASKED ? null : "sha256:" + sha256(config);
  let manifest = M.manifest;
  if (id) manifest = manifest.replaceAll(M.image.id, id);
  if (digest) manifest = manifest.replaceAll(layer.digest, digest);
  const top = (MASKED && lab.flip) || !digest ? null : "sha256:" + sha256(manifest);
  put(byId("flow"),
    card(1, t("cardTar", { layer: layer.name, size: bytes(held ? tar.length : layer.tar_size) }), held ? hexDump(tar, lab.flip) : [h("p", t(M.blobs[at] ? "tarZstd" : "tarNotHere")), h("p.mut", t("tarAsk"))], "tar"),
    card(2, t("cardDiff"), [verdictOf(diff, layer.diff_id, held ? "computed" : lab.flip ? "pretended" : "recorded"), shell(isGzip(at) ? "gunzip < blob | sha256sum" : "sha256sum < layer.tar")], "diff"),
    card(3, t("cardLayer"), [digest ? verdictOf(digest, layer.digest, held ? "computed" : "recorded") : h("p.bad", "✗ " + t("fellUnknown")), digest === diff ? h("p.mut", t("notPacked")) : "", shell(held ? `sha256sum blob  # ${count(blob.length)} B` : `sha256sum blobs/sha256/${short(layer.digest)}…`)], "blob"),
    card(4, t("cardChain"), [h("ol.ladder", OWN.map((each, rank) => h("li", { class: chains[rank] !== LAYERS[each].chain_id ? "fell" : rank === lab.layer ? "on" : "" }, layerChip(each, "small"), " ", code(short(chains[rank])), " ", h("span", chains[rank] === LAYERS[each].chain_id ? h("span.ok", "✓") : h("span.bad", "✗")))).reverse()),
      shell(lab.layer ? `sha256("${short(chains[lab.layer - 1])}… ${short(diff)}…")` : t("chainFirst"))], "chain"),
    card(5, t("cardConfig"), [MASKED ? h("p", t("configMasked", { names: M.config.masked.map((each) => shown(each) || t("aPassword")).join(", ") })) : verdictOf(id, M.image.id, "computed"), quoted(config, [[diff, diff !== layer.diff_id]])], "config"),
    card(6, t("cardManifest"), [top ? verdictOf(top, M.image.manifest, "computed") : h("p.bad", "✗ " + t("fellUnknown")), quoted(manifest, [[id || M.image.id, id && id !== M.image.id], [digest || layer.digest, digest !== layer.digest]])], "manifest"));
  const chosen = byId("flow").querySelector(".ladder .on, .ladder .fell");
  if (chosen) chosen.parentNode.scrollTop = chosen.offsetTop - chosen.parentNode.offsetTop - 60;
  byId("lab-time").textContent = t("digestsIn", { n: chains.length + (held ? 2 : 0) + (MASKED ? 0 : 1) + 1, time: decimals[1].format(performance.now() - started) + SPACE + "ms" });
}
const card = (number, title, body, kind) => h("article.card", { class: kind }, h("h3", h("span.step-no", number), " ", title), body);
const shell = (text) => h("code.shell", { dir: "ltr" }, text);
function verdictOf(digest, known, how) {
  const same = digest === known;
  return [h("p", digestLine(short64(digest), short64(known))), h("p", { class: same ? "ok" : "bad" }, same ? "✓ " + t("same_" + how) : "✗ " + t("fell"))];
}
// A document as it is hashed, with the digests in it that matter here.
function quoted(text, marks) {
  let parts = [text];
  for (const [digest, fell] of marks) parts = parts.flatMap((part) => typeof part !== "string" ? [part] : part.split(digest).flatMap((piece, at) => at ? [h("mark", { class: fell ? "fell" : "" }, digest), piece] : [piece]));
  return h("pre.quoted", { tabindex: 0, role: "group", "aria-label": t("document"), dir: "ltr" }, parts.map((part) => (typeof part === "string" ? shown(part, true) : part)));
}
function hexDump(tar, flip) {
  const lines = [], zero = (from) => { for (let i = from; i < from + 8; i++) if (tar[i]) return false; return true; };
  for (let at = 0; at < tar.length && lines.length < 60; at += 8) {
    if (zero(at)) {
      let end = at;
      while (end + 8 < tar.length && zero(end + 8)) end += 8;
      if (end > at) { lines.push(h("span.mut", `        … ${t("zeros", { n: Math.min(end + 8, tar.length) - at })}\n`)); at = end; continue; }
    }
    const part = [...tar.subarray(at, at + 8)];
    const text = `${at.toString(16).padStart(6, "0")}  ${part.map((byte, i) => byte.toString(16).padStart(2, "0") + (i % 2 ? " " : "")).join("")} ${part.map((byte) => (byte > 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("")}\n`;
    lines.push(flip && !at ? h("mark.fell", text) : text);
  }
  return h("pre.quoted.hex", { tabindex: 0, role: "group", "aria-label": t("tarBytes"), dir: "ltr" }, lines);
}
