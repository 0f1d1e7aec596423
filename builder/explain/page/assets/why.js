// Why a step ran: its preimage field by field, each of which can be edited; the key is its SHA-256.
let editing = null; // {step, doc, leaves}

function whySection() {
  return section("why", t("whyTitle"), t("whyLead"), hasRecord && Object.keys(M.facts).length
    ? h("div.two", h("div.panel", { id: "preimage" }), h("div.panel", { id: "whatif" }))
    : panel("", { class: "note" }, h("p", t(hasRecord ? "noPreimages" : "noRecordWhy"))));
}
// The leaves of a document, each with the way to it. Variables are told by their names.
function leavesOf(value, way = []) {
  if (value && typeof value === "object") {
    const found = Object.entries(value).flatMap(([key, each]) => leavesOf(each, [...way, key]));
    return found.length ? found : [{ way, value, empty: true }];
  }
  return [{ way, value }];
}
function labelOf({ way, value }) {
  if (way[0] === "env" && typeof value === "string") return "env " + value.split("=")[0];
  return way.map((key, at) => (/^\d+$/.test(key) && at ? `[${key}]` : (at ? "." : "") + key)).join("");
}
function compareLeaves(now, was) {
  const old = new Map(was ? leavesOf(was).map((leaf) => [labelOf(leaf), leaf.value]) : []);
  const leaves = leavesOf(now).map((leaf) => {
    const label = labelOf(leaf), known = old.has(label);
    const before = old.get(label);
    old.delete(label);
    return { ...leaf, label, was: before, differs: Boolean(was) && (!known || JSON.stringify(before) !== JSON.stringify(leaf.value)), isNew: Boolean(was) && !known };
  });
  for (const [label, value] of old) leaves.push({ way: null, label, was: value, differs: true });
  return leaves.sort((a, b) => b.differs - a.differs);
}
const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value));
function setLeaf(doc, way, text, kind) {
  let at = doc;
  for (const key of way.slice(0, -1)) at = at[key];
  let value = text;
  if (kind !== "string") try { value = JSON.parse(text); } catch { value = text; }
  at[way[way.length - 1]] = value;
}
function drawPreimage() {
  const panel = byId("preimage");
  if (!panel) return;
  const facts = M.facts[S.step], step = STEPS[S.step];
  if (!facts) {
    editing = null;
    return put(panel, h("h3", t("keyOf", { step: S.step < 0 ? "" : stepName(S.step) })), h("p.mut", t(step && step.instruction === "FROM" ? "fromHasNoKey" : "noPreimage")));
  }
  const doc = JSON.parse(facts.preimage), was = facts.was ? JSON.parse(facts.was) : null;
  editing = { doc, was, recorded: step.key, masked: facts.masked, exact: sha256(canonical(doc)) === short64(step.key) };
  const leaves = compareLeaves(doc, was);
  const changes = facts.why.length ? facts.why : step.reason ? [step.reason] : [];
  const list = h("dl.leaves", { onkeydown: leafKeys });
  leaves.forEach((leaf, at) => {
    const id = "leaf" + at, value = leaf.way && !leaf.empty ? asText(leaf.value) : "";
    const input = leaf.way && !leaf.empty && h("input", { id, type: "text", dir: "ltr", spellcheck: "false", autocomplete: "off", tabindex: at ? -1 : 0, value: shown(value),
      oninput: (event) => { setLeaf(editing.doc, leaf.way, event.target.value === shown(value) ? value : event.target.value, typeof leaf.value); event.target.classList.toggle("edited", event.target.value !== shown(value)); drawKey(); } });
    list.append(h("div", { class: leaf.differs ? "differs" : "" }, h("dt", input ? h("label", { for: id }, shown(leaf.label)) : shown(leaf.label)),
      h("dd", leaf.differs && h("span.was", leaf.isNew ? t("wasNot") : [t("was"), " ", h("s", oneLine(asText(leaf.was), 90))]), input || (leaf.way ? code(JSON.stringify(leaf.value)) : t("isNoMore")))));
  });
  put(panel, h("h3", t("keyOf", { step: stepName(S.step) })), h("p.command", code(stepText(S.step, 160))),
    changes.length > 0 && h("ul.reasons", changes.slice(0, 12).map((line) => h("li", shown(line))), changes.length > 12 && h("li.mut", t("andMore", { n: changes.length - 12 }))),
    h("p.mut", was ? t("wasNowEdit") : t("editAny")), list, h("div.key-box", { id: "key", "aria-live": "polite" }));
  drawKey();
}
const short64 = (digest) => digest.replace(/^sha256:/, "");
function drawKey() {
  const { doc, was, recorded, masked, exact } = editing, key = sha256(canonical(doc));
  const wasKey = was && sha256(canonical(was));
  const lines = [h("span.mut", "sha256(canonical JSON) =")];
  if (masked.length || !exact) {
    lines.push(h("b.digest", short64(recorded)), h("span", masked.length ? t("keyMasked", { names: masked.map((each) => each || t("aPassword")).join(", ") }) : t("keyInexact")));
  } else {
    const same = key === short64(recorded);
    lines.push(digestLine(key, short64(recorded)), h("span", { class: same ? "ok" : "bad" }, same ? "✓ " + t("keySame") : key === wasKey ? "↺ " + t("keyWas") : "✗ " + t("keyFell", { n: followersOf(S.step).length })));
    if (same && wasKey && wasKey !== key) lines.push(h("span.mut", t("keyBefore", { key: wasKey.slice(0, 12) })));
  }
  put(byId("key"), lines.map((line) => h("p", line)));
}
// A digest, with the signs that differ from another made bold.
function digestLine(digest, other) {
  return h("code.digest", { dir: "ltr" }, digest === other ? h("b", digest.slice(0, 12)) : h("mark", digest.slice(0, 12)), digest.slice(12));
}
function leafKeys(event) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || event.target.tagName !== "INPUT") return;
  event.preventDefault();
  const all = [...event.currentTarget.querySelectorAll("input")], next = all[all.indexOf(event.target) + by];
  if (next) next.focus();
}
watch((news) => { if ("step" in news) drawPreimage(); });
