// The Dockerfile, line by line, with each step's layer beside it and the lanes of its stages to the left. Of an image
// without a record, its history.
const LANE = 20, MARGIN = 15;
const laneX = (lane) => MARGIN + lane * LANE;
const rows = new Map();

function dockerfilePanel() {
  const list = h("ol.lines", { id: "lines" }, hasRecord ? dockerfileRows() : STEPS.map((_, at) => stepRow(at, stepTextLines(at))));
  const holder = h("div.lines-box", s("svg.rail", { id: "rail", "aria-hidden": "true" }), list);
  holder.style.setProperty("--rail", laneX(Math.max(0, ...STEPS.map((step) => step.lane))) + MARGIN + 4 + "px");
  const legend = hasRecord && h("p.legend", ["hit", "ran", "base"].map((cache) => h("span", mark(cache), " ", t("cache_" + cache))));
  return h("div.panel.lines-panel", { "data-pane": "lines" }, h("div.panel-head", h("h3", hasRecord ? shown(M.dockerfile.name.split("/").pop()) : t("history")), legend),
    !hasRecord && h("p.note", t("noRecord")), holder);
}
function dockerfileRows() {
  const lines = M.dockerfile.text.replace(/\n$/, "").split("\n"), made = [];
  let next = 0;
  const plain = (until) => {
    for (; next < until && next < lines.length; next++) {
      const text = lines[next];
      if (!text.trim() && !(made.length && next)) continue;
      made.push(h("li", { class: "row plain" + (/^\s*#/.test(text) ? " comment" : text.trim() ? "" : " blank") }, h("span.no", next + 1), code(text),
        /^\s*ARG\b/i.test(text) && h("span.aside", t("buildOnly"))));
    }
  };
  STEPS.forEach((step, at) => {
    if (!step.line || step.line < next + 1) return made.push(stepRow(at, step.line ? [] : stepTextLines(at)));
    plain(step.line - 1);
    const last = Math.max(step.last_line, step.line);
    made.push(stepRow(at, lines.slice(step.line - 1, last), step.line));
    next = Math.max(next, last);
  });
  plain(lines.length);
  return made;
}
const stepTextLines = (at) => [stepText(at, 400)];
function mark(cache) {
  return s("svg", { class: "mark " + (cache || "unknown"), viewBox: "-8 -8 16 16", "aria-hidden": "true" }, marker(cache, 5.5));
}
const marker = (cache, r) => cache === "base" ? s("rect", { x: -r, y: -r, width: 2 * r, height: 2 * r, rx: 2 }) : s("circle", { r });

function stepRow(at, lines, from) {
  const step = STEPS[at], isStop = STOPS.includes(at);
  const texts = lines.map((line, number) => {
    const text = shown(line), word = number === 0 && /^(\s*)(\S+)/.exec(text);
    return h("span.line", from && h("span.no", from + number),
      word ? [word[1], h("b", word[2]), text.slice(word[0].length)] : text || " ");
  });
  if (!isStop) {
    const row = h("li.row.plain", h("code", { dir: "ltr" }, texts), h("span.aside", t(step.instruction === "ARG" ? "buildOnly" : "configOnly")));
    rows.set(at, row);
    return row;
  }
  const size = step.layers.reduce((sum, each) => sum + (LAYERS[each].size || 0), 0);
  const chips = step.layers.length > 1
    ? h("span", { class: `chip t0${LAYERS[step.layers[0]].in_image ? "" : " thrown"}` }, `${LAYERS[step.layers[0]].name}–${LAYERS[step.layers[step.layers.length - 1]].name}`)
    : step.layers.map((each) => layerChip(each));
  const said = [];
  if (step.cache) said.push(h("span", { class: `cache ${step.cache}${isCause(at) ? " cause" : ""}` }, t(step.cache === "base" ? (step.in_image ? "cache_baseHere" : "cache_baseThere") : "cache_" + step.cache), step.reason && `: ${shown(step.reason)}`));
  if (step.cache === "ran" && step.seconds !== null) said.push(seconds(step.seconds));
  for (const source of step.reads) if (STEPS[source].stage !== step.stage) said.push(t("readsFrom", { step: stepName(source) }));
  if (step.parent !== null && step.instruction === "FROM") said.push(t("standsOn", { step: stepName(step.parent) }));
  if (!step.in_image && step.instruction === "FROM") said.push(t("thrownAway"));
  for (const each of step.layers) if (LAYERS[each].missing) said.push(h("span.cache.ran", t("layerMissing", { layer: LAYERS[each].name, why: shown(LAYERS[each].missing) })));
  const number = step.number || (from ? "" : at + 1);
  const button = h("button", { class: "step", "data-step": at, tabindex: -1, onclick: () => goTo(at) },
    h("span.sr", `${stepName(at)}. `),
    h("code", { dir: "ltr" }, texts),
    h("span.made", chips, h("span.size", step.layers.length ? bytes(size) : "")),
    said.length > 0 && h("span.said", said.flatMap((part, index) => (index ? [" · ", part] : [part]))));
  const part = h("i", { class: "size-bar" + (step.layers.length ? ` t${tints[step.layers[0]]}` : "") });
  part.style.setProperty("--share", Math.round(100 * size / (biggestStep || 1)) + "%");
  button.append(part);
  const row = h("li.row", { "data-number": number }, button);
  rows.set(at, row);
  return row;
}
const biggestStep = Math.max(1, ...STEPS.map((step) => step.layers.reduce((sum, each) => sum + (LAYERS[each].size || 0), 0)));

// Lanes are drawn over the list when it has its heights: lines of a Dockerfile wrap.
function drawRail() {
  const rail = byId("rail"), list = byId("lines");
  if (!list.offsetParent) return;
  const y = (at) => rows.get(at).offsetTop + 17;
  rail.setAttribute("width", list.parentNode.style.getPropertyValue("--rail"));
  rail.setAttribute("height", list.scrollHeight);
  const parts = [];
  for (const stage of stages) {
    const own = STEPS.map((_, at) => at).filter((at) => STEPS[at].stage === stage);
    if (!own.length) continue;
    const kept = own.some((at) => STEPS[at].in_image);
    parts.push(s("path", { class: "lane" + (kept ? " kept" : ""), d: `M${laneX(STEPS[own[0]].lane)} ${y(own[0])}V${y(own[own.length - 1])}` }));
  }
  for (const [source, target, isBaseOf] of M.crossings) {
    const from = laneX(STEPS[source].lane), to = laneX(STEPS[target].lane), end = y(target);
    const side = to === from ? 0 : to > from ? 1 : -1;
    parts.push(s("path", { class: "crossing" + (isBaseOf ? " base" : "") + (S.step === target || S.step === source ? " on" : ""), "marker-end": "", d: side
      ? `M${from} ${y(source)}V${end - 12}Q${from} ${end} ${from + side * 12} ${end}H${to - side * 9}` : `M${from} ${y(source)}V${end}` }));
  }
  STEPS.forEach((step, at) => {
    const stop = STOPS.includes(at);
    const number = rows.get(at).dataset.number || "", cause = isCause(at) ? " cause" : "";
    parts.push(s("g", { class: `node ${stop ? step.cache || "unknown" : "small"}${cause}${S.step === at ? " on" : ""}`, transform: `translate(${laneX(step.lane)} ${y(at)})` },
      S.step === at && s("circle", { class: "halo", r: 13 }), stop ? marker(step.cache, 9) : s("circle", { r: 2.5 }), stop && s("text", { y: 3.5 }, number)));
  });
  put(rail, parts);
}
watch((news) => {
  const chosen = rows.get(S.step);
  for (const [at, row] of rows) {
    row.classList.toggle("on", at === S.step);
    row.classList.toggle("later", at > S.step && S.step >= 0);
    const button = row.querySelector(".step");
    if (!button) continue;
    if (at === S.step) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
    button.tabIndex = at === S.step ? 0 : -1;
  }
  if (chosen || news.sheet) drawRail();
});
function lineKeys(event) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || !event.target.matches(".step")) return;
  event.preventDefault();
  const all = [...byId("lines").querySelectorAll(".step")], next = all[all.indexOf(event.target) + by];
  if (next) { goTo(Number(next.dataset.step)); next.focus({ preventScroll: false }); }
}
