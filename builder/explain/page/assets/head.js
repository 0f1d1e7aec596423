// The top of the page: what is to be said in one sentence, the facts, the layers as a strip, and the playhead.
// A step that ran for a reason of its own, and not since another one did.
const isCause = (at) => STEPS[at].cache === "ran" && !/^follows /.test(STEPS[at].reason) && !STEPS[at].reads.some((each) => STEPS[each].cache === "ran");
const rootSteps = () => STEPS.map((_, at) => at).filter((at) => isCause(at));
const ranSteps = () => STEPS.map((_, at) => at).filter((at) => STEPS[at].cache === "ran");
const link = (where, kind, ...children) => h("a", { href: "#" + where, class: kind }, ...children);

function verdict() {
  const said = [];
  const { stored, hidden } = M.image;
  said.push(tn(hidden ? "verdictHidden" : "verdictAll", {
    n: OWN.length, layers: link("layers", "v", t("layers", { n: OWN.length })), size: bytes(stored),
    hidden: link("hidden", "v", bytes(hidden)),
  }), " ");
  const ran = ranSteps(), roots = rootSteps();
  if (hasRecord && ran.length) {
    const all = STEPS.filter((step) => step.cache === "ran" || step.cache === "hit").length;
    const causes = roots.filter((at, index) => STEPS[at].reason && STEPS[at].reason !== M.image.first && roots.findIndex((other) => STEPS[other].reason === STEPS[at].reason) === index);
    const some = link("why", "v ran", t("stepsRan", { n: ran.length, all: count(all) }));
    if (causes.length && causes.length < all) {
      const told = causes.slice(0, 2).map((at) =>
        h("a", { href: "#why", class: "v ran", onclick: () => goTo(at) }, shown(STEPS[at].reason)));
      said.push(tn(causes.length > 2 ? "verdictRanMore" : causes.length > 1 ? "verdictRanTwo" : "verdictRanOne",
        { some, one: told[0], two: told[1], more: count(causes.length - 2) }), " ");
    } else said.push(tn("verdictRanAll", { some }), " ");
  } else if (hasRecord) said.push(t("verdictCached"), " ");
  else said.push(t("verdictElsewhere"), " ");
  said.push(h("span", { id: "verdict-secret" }));
  return said;
}
function secretVerdict() {
  const secrets = secretFiles(), gone = secrets.filter((each) => each.hidden);
  const element = byId("verdict-secret");
  if (gone.length) put(element, tn("verdictSecretFile", { n: gone.length, path: link("hidden", "v del", name(pathOf(gone[0].p))), more: count(gone.length - 1) }));
  else if (M.findings.length)
    put(element, tn("verdictSecretName", { name: link("hidden", "v del", M.findings[0].name ? name(M.findings[0].name) : t("aPassword")), where: t("kind_" + M.findings[0].kind) }));
  else if (secrets.length) put(element, tn("verdictSecretSeen", { path: link("hidden", "v del", name(pathOf(secrets[0].p))) }));
}
function factList() {
  const { image } = M;
  const when = image.began || Date.parse(image.created);
  const facts = [
    ["factPull", image.packed === null ? null : bytes(image.packed)],
    ["factBuilt", hasRecord && image.seconds ? seconds(image.seconds) : null],
    ["factSaved", hasRecord ? savedSeconds() : null],
    ["factWhen", when > 0 ? new Date(when).toLocaleString(LANGUAGE, { dateStyle: "medium", timeStyle: "short" }) : null],
    ["factId", code(short(image.id))],
    ["factManifest", code(short(image.manifest))],
  ];
  return h("dl.facts", facts.filter(([, value]) => value).map(([key, value]) => h("div", h("dt", t(key)), h("dd", value))));
}
function savedSeconds() {
  const saved = STEPS.reduce((sum, step) => sum + (step.cache === "hit" && step.seconds ? step.seconds : 0), 0);
  return saved ? seconds(saved) : null;
}

// The layers side by side. A base of many is one piece until it is opened.
let openBase = OWN.length <= 14;
function strip() {
  const bars = [], base = OWN.filter((at) => isBase(LAYERS[at]));
  const group = !openBase && base.length > 3;
  const total = M.image.stored || 1;
  const grow = (size) => Math.max(1, Math.round((1000 * size) / total));
  const bar = (at, size, hidden, label, tint, click, title) => {
    const shade = hidden > 0 && h("i.hatch");
    const element = h("button", { class: `bar t${tint}`, "data-layer": at, title, onclick: click, "aria-label": title }, shade,
      h("span.bar-name", label), h("span.bar-size", bytes(size)));
    element.style.setProperty("--grow", grow(size));
    if (shade) shade.style.setProperty("--part", Math.max(4, Math.round((100 * hidden) / (size || 1))) + "%");
    return element;
  };
  if (group) {
    const size = base.reduce((sum, at) => sum + (LAYERS[at].size || 0), 0), hidden = base.reduce((sum, at) => sum + LAYERS[at].hidden, 0);
    bars.push(bar(base[0], size, hidden, t("baseLayers", { n: base.length }), 0, () => { openBase = true; put(byId("strip"), strip()); }, t("openBase", { n: base.length, size: bytes(size) })));
  }
  for (const at of OWN) {
    const layer = LAYERS[at];
    if (group && base.includes(at)) continue;
    const title = t(layer.missing ? "barMissing" : layer.hidden ? "barHidden" : "bar", { layer: layer.name, size: bytes(layer.size), hidden: bytes(layer.hidden), step: stepText(layer.step, 80), why: layer.missing });
    bars.push(bar(at, layer.size || 0, layer.hidden, layer.name, tints[at], () => goToLayer(at), title));
  }
  return bars;
}
function markStrip() {
  const where = place();
  for (const bar of byId("strip").children) {
    const at = Number(bar.dataset.layer);
    const rank = OWN.indexOf(at);
    bar.classList.toggle("on", Boolean(where && where.chain === 0 && rank >= Math.min(where.low, where.rank) && rank <= where.rank));
    bar.classList.toggle("later", Boolean(where && where.chain === 0 && rank > where.rank));
  }
}
function head() {
  const theme = h("button", { class: "ghost", id: "theme", onclick: nextTheme }, t("theme_auto"));
  return [
    h("header.top",
      h("p.brand", h("b", "pybuild explain"), " ", name(M.image.name, { class: "image" }), " ", h("span.mut", shown(M.image.platform))),
      h("div.tools", theme,
        h("button", { class: "ghost", id: "help-button", "aria-label": t("help"), onclick: () => byId("help").showModal() }, "?"),
        h("button", { class: "solid", id: "tour-button", onclick: () => startTour() }, t("takeTour")))),
    h("div.hero", h("h1", { id: "verdict" }, verdict()), factList(),
      M.image.problems.length > 0 && h("ul.problems", M.image.problems.map((problem) => h("li", shown(problem)))),
      h("div", { id: "strip", class: "strip", role: "group", "aria-label": t("stripLabel") }, strip()),
      h("p.caption", t("stripCaption"), " ", h("span.key", h("i.swatch.hatched"), t("storedHidden")))),
    bar(),
  ];
}
const PARTS = ["layers", "why", "hidden", "digests", "container", "shared", "quiz"];
function bar() {
  const last = STOPS.length - 1;
  const slider = h("input", { type: "range", id: "slider", min: 0, max: Math.max(last, 0), value: last, "aria-label": t("slider"), oninput: () => goTo(STOPS[slider.value]) });
  return h("div.playbar", { id: "playbar" },
    h("nav", { "aria-label": t("parts") }, PARTS.map((part) => h("a", { href: "#" + part }, t("part_" + part)))),
    h("div.play",
      h("output", { id: "now", for: "slider" }), h("button", { id: "play", class: "icon", "aria-label": t("play"), onclick: play }, "▶"),
      h("button", { class: "icon", id: "previous", "aria-label": t("previous"), onclick: () => move(-1) }, "‹"), slider,
      h("button", { class: "icon", id: "next", "aria-label": t("next"), onclick: () => move(1) }, "›")),
    h("div.sheets", { role: "group", "aria-label": t("sheets") }, ["lines", "files", "core"].map((sheet) =>
      h("button", { "data-sheet": sheet, "aria-pressed": String(sheet === "lines"), onclick: () => showSheet(sheet) }, t("sheet_" + sheet)))));
}
// On a telephone one of three panes is shown, in the same place, so that the step can be changed beside each.
function showSheet(sheet) {
  byId("bench").dataset.sheet = sheet;
  for (const button of document.querySelectorAll("[data-sheet]")) if (button.tagName === "BUTTON") button.setAttribute("aria-pressed", String(button.dataset.sheet === sheet));
  change({ sheet });
}
function move(by) {
  const at = STOPS.indexOf(S.step);
  const next = S.layer === null ? at + by : at + (by > 0 ? by : 0);
  if (STOPS[next] !== undefined) goTo(STOPS[next]);
}
let playing = 0;
function play() {
  const button = byId("play");
  const stop = () => { clearInterval(playing); playing = 0; button.textContent = "▶"; button.setAttribute("aria-label", t("play")); };
  if (playing) return stop();
  if (S.step === STOPS[STOPS.length - 1]) goTo(STOPS[0]);
  button.textContent = "❚❚";
  button.setAttribute("aria-label", t("pause"));
  playing = setInterval(() => (S.step === STOPS[STOPS.length - 1] ? stop() : move(1)), 1400);
}
watch(() => {
  if (S.step < 0) return;
  const at = STOPS.indexOf(S.step), slider = byId("slider");
  if (at >= 0) slider.value = at;
  const step = STEPS[S.step];
  slider.setAttribute("aria-valuetext", `${stepName(S.step)}: ${stepText(S.step, 60)}`);
  put(byId("now"), h("b", stepName(S.step)), " ", h("span.mut", step.instruction, S.layer !== null ? " · " + LAYERS[S.layer].name : ""));
  markStrip();
});
function nextTheme() {
  const root = document.documentElement, order = ["auto", "light", "dark"];
  const now = order[(order.indexOf(root.dataset.theme || "auto") + 1) % 3];
  if (now === "auto") delete root.dataset.theme;
  else root.dataset.theme = now;
  byId("theme").textContent = t("theme_" + now);
}
