// What all parts use: elements, words, numbers, names that can't harm, and the state that they share.
const byId = (id) => document.getElementById(id);
const read = (id) => JSON.parse(byId(id).textContent);
const WORDS = read("messages");
const M = read("model");
const LANGUAGE = document.documentElement.lang;

// An element: "tag.class", attributes as they are named, on… as listeners, and children, nodes or texts. Nothing is
// ever parsed as markup.
function h(kind, ...rest) {
  const [tag, ...classes] = kind.split("."), element = document.createElement(tag);
  if (tag === "button") element.type = "button";
  return fill(element, classes, rest);
}
function s(kind, ...rest) {
  const [tag, ...classes] = kind.split(".");
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), classes, rest);
}
function fill(element, classes, rest) {
  if (classes.length) element.setAttribute("class", classes.join(" "));
  const given = rest[0] && rest[0].constructor === Object ? rest.shift() : {};
  for (const [key, value] of Object.entries(given)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked") element[key] = value;
    else element.setAttribute(key, key === "class" && classes.length ? classes.join(" ") + " " + value : value === true ? "" : value);
  }
  append(element, rest);
  return element;
}
function append(element, children) {
  for (const child of children.flat(9)) if (child !== null && child !== undefined && child !== false && child !== "") element.append(child);
}
function put(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

// A message with its {names} filled in; of two forms the one for `n`. `t` gives a text, `tn` texts and nodes.
function form(key, values) {
  const word = WORDS[key];
  if (word === undefined) throw new Error(`no message ${key}`);
  return Array.isArray(word) ? word[values && values.n === 1 ? 0 : 1] : word;
}
function t(key, values) {
  const word = form(key, values), text = word.replace(/\{(\w+)\}/g, (_, name) => String(name === "n" ? count(values.n) : values[name]));
  return /^\{(step|later|by)\}/.test(word) ? text[0].toUpperCase() + text.slice(1) : text;
}
function tn(key, values) {
  return form(key, values).split(/\{(\w+)\}/).map((part, at) =>
    at % 2 ? (part === "n" && typeof values.n === "number" ? count(values.n) : values[part]) : part);
}

const decimals = [0, 1].map((digits) =>
  new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: digits, minimumFractionDigits: digits }));
const whole = new Intl.NumberFormat(LANGUAGE);
const count = (n) => whole.format(n);
const SPACE = "\u00a0";
function bytes(n) {
  if (n === null || n === undefined) return "?";
  if (n < 1000) return n + SPACE + "B";
  let unit = -1;
  do { n /= 1000; unit++; } while (n >= 999.5 && unit < 4);
  return decimals[n < 9.95 ? 1 : 0].format(n) + SPACE + ["kB", "MB", "GB", "TB", "PB"][unit];
}
function seconds(n) {
  if (n === null || n === undefined) return "";
  if (n < 0.0995) return Math.round(n * 1000) + SPACE + "ms";
  return n < 119.5 ? decimals[n < 99.5 ? 1 : 0].format(n) + SPACE + "s" : Math.round(n / 60) + SPACE + "min";
}
const percent = (part, all) => (all ? decimals[1].format((100 * part) / all) : "0") + SPACE + "%";
const octal = (mode) => mode.toString(8).padStart(4, "0");
const short = (digest) => digest.replace(/^sha256:/, "").slice(0, 12);

// Names are anybody's: what would not show, or would turn the text around it, is written as an escape.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|[\u{e0000}-\u{e0fff}]/gu;
function shown(name, keepLines) {
  return name.replace(UNSEEN, (sign) => {
    const code = sign.codePointAt(0);
    if (keepLines && (code === 10 || code === 9)) return sign;
    if (code >= 0xdc80 && code <= 0xdcff) return "\\x" + (code - 0xdc00).toString(16);
    if (code === 10) return "\\n";
    if (code === 9) return "\\t";
    return code < 0x80 ? "\\x" + code.toString(16).padStart(2, "0") : "\\u{" + code.toString(16) + "}";
  });
}
const name = (text, attributes) => h("bdi", attributes, shown(text));
const code = (text) => h("code", { dir: "ltr" }, shown(text));

const LAYERS = M.layers, STEPS = M.steps, CHAINS = M.chains;
const OWN = CHAINS.length ? CHAINS[0].layers : LAYERS.map((_, at) => at).filter((at) => LAYERS[at].in_image);
const hasRecord = M.dockerfile !== null;
const stages = [...new Set(STEPS.map((step) => step.stage))];
const isBase = (layer) => Boolean(STEPS[layer.step]) && STEPS[layer.step].instruction === "FROM";
// A layer has its tint everywhere; those of a base image are stone.
const tints = LAYERS.map(() => 0);
for (const own of [true, false]) {
  let next = 0;
  LAYERS.forEach((layer, at) => {
    if (layer.in_image === own) tints[at] = isBase(layer) ? (layer.number % 2) : 2 + (next++ % 8);
  });
}
const layerChip = (at, more) =>
  h("span", { class: `chip t${tints[at]}${LAYERS[at].in_image ? "" : " thrown"}${more ? " " + more : ""}` }, LAYERS[at].name);
function stepName(at) {
  const step = STEPS[at];
  const number = step.number || step.line || at + 1;
  if (!step.number && step.line) return t("lineN", { number: step.line });
  if (!step.number) return t("recordN", { number: at + 1 });
  return stages.length > 1 ? t("stepOf", { number, stage: shown(step.stage) }) : t("stepN", { number });
}
const oneLine = (text, most = 64) => {
  const line = shown(text.replace(/\s+/g, " ").trim());
  return line.length > most ? line.slice(0, most - 1) + "…" : line;
};
const stepText = (at, most) => {
  const { text, instruction } = STEPS[at];
  return oneLine(text.startsWith(instruction) ? text : `${instruction} ${text}`, most);
};

// Steps that the playhead stops at: those that have a file system of their own.
const STOPS = STEPS.map((_, at) => at).filter((at) => STEPS[at].layers.length || STEPS[at].number);
const S = { step: STOPS.length ? STOPS[STOPS.length - 1] : -1, layer: null, path: -1, view: "union", ghosts: true, find: "", keys: true };
const watchers = [];
const watch = (what) => watchers.push(what);
function change(news) {
  Object.assign(S, news);
  for (const watcher of watchers) watcher(news);
}
// Which chain shows a step's file system, and up to which of its layers; `low` is the first one that the step brings.
function place(step = S.step, layer = S.layer) {
  for (let at = step; at >= 0 && at !== null && STEPS[at]; at = STEPS[at].parent ?? -1) {
    const wanted = STEPS[at].layers;
    if (!wanted.length) continue;
    const last = at === step && layer !== null && wanted.includes(layer) ? layer : wanted[wanted.length - 1];
    const chain = CHAINS.findIndex((each) => each.layers.includes(last));
    if (chain < 0) return null;
    const rank = CHAINS[chain].layers.indexOf(last);
    const low = at !== step ? rank + 1 : layer !== null ? rank : rank - wanted.length + 1;
    return { chain, rank, low, base: wanted.length > 1 || STEPS[at].instruction === "FROM" };
  }
  return null;
}
const layerOf = (chain, rank) => CHAINS[chain].layers[rank];
const stepOfLayer = (at) => LAYERS[at].step;
const goTo = (step, layer = null) => change({ step, layer });
function goToLayer(at) {
  const step = stepOfLayer(at);
  goTo(step, STEPS[step] && STEPS[step].layers.length > 1 ? at : null);
}
function section(id, title, lead, ...children) {
  return h("section", { id, "aria-labelledby": id + "-title" }, h("h2", { id: id + "-title" }, title), h("p.lead", lead), ...children);
}
const panel = (title, attributes, ...children) =>
  h("div.panel", attributes || {}, title && h("h3", title), children);
