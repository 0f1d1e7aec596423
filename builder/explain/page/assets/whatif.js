// What an edit would run again: what reads it, and what stands on that; for certain or perhaps; and how long.
const readersOf = STEPS.map(() => []);
STEPS.forEach((step, at) => { for (const each of [step.parent, ...step.reads]) if (each !== null && readersOf[each]) readersOf[each].push(at); });
function followersOf(step) {
  const found = new Set(), todo = [step];
  while (todo.length) for (const next of readersOf[todo.pop()]) if (!found.has(next)) { found.add(next); todo.push(next); }
  return [...found].filter((at) => STEPS[at].cache !== "base" && STEPS[at].number);
}
const runnable = (at) => STEPS[at].number > 0 && STEPS[at].instruction !== "FROM";
// For each step: "", "runs" (its own preimage changes), "follows" (a layer below certainly differs), "perhaps".
function predict(edit) {
  const fate = STEPS.map(() => ""), cause = STEPS.map(() => -1);
  const differs = STEPS.map(() => 0); // its file system, and with it its chain ID: 2 certainly, 1 perhaps
  STEPS.forEach((step, at) => {
    const below = step.parent === null ? 0 : differs[step.parent];
    const read = Math.max(0, ...step.reads.map((each) => (differs[each] ? 1 : 0)));
    const direct = edit.steps.includes(at);
    if (direct && runnable(at)) fate[at] = "runs";
    else if (below === 2 && runnable(at)) fate[at] = "follows";
    else if ((below || read) && runnable(at)) fate[at] = "perhaps";
    if (fate[at] && fate[at] !== "runs") {
      const from = below && step.parent !== null ? step.parent : step.reads.find((each) => differs[each]);
      cause[at] = cause[from] >= 0 ? cause[from] : from;
    }
    const made = direct ? (edit.certain ? 2 : 1) : fate[at] ? 1 : 0;
    differs[at] = below === 2 ? 2 : Math.max(made, below);
  });
  const times = (kinds) => STEPS.map((step, at) => (kinds.includes(fate[at]) ? step.seconds || 0 : 0));
  return { fate, cause, work: [sum(times(["runs", "follows"])), sum(times(["runs", "follows", "perhaps"]))], wait: longest(times(["runs", "follows", "perhaps"])), unknown: STEPS.some((step, at) => fate[at] && step.seconds === null) };
}
const sum = (list) => list.reduce((all, each) => all + each, 0);
// The critical path: no build is done before the longest way through its steps.
function longest(times) {
  const end = [];
  STEPS.forEach((step, at) => { end[at] = times[at] + Math.max(0, ...[step.parent, ...step.reads].filter((each) => each !== null && each < at).map((each) => end[each])); });
  return Math.max(0, ...end);
}
function possibleEdits() {
  const edits = [], files = new Map();
  for (const [at, facts] of Object.entries(M.facts)) for (const file of facts.files) files.set(file, [...(files.get(file) || []), Number(at)]);
  const inReasons = (file) => STEPS.some((step) => step.cache === "ran" && step.reason.includes(file));
  const sorted = [...files.keys()].sort((a, b) => inReasons(b) - inReasons(a) || files.get(b).length - files.get(a).length);
  for (const file of sorted.slice(0, 6)) edits.push({ label: file, kind: "file", steps: files.get(file), certain: true });
  STEPS.forEach((step, at) => {
    if (step.instruction !== "ARG") return;
    const variable = /^(?:ARG\s+)?([A-Za-z_]\w*)/i.exec(step.text);
    if (!variable) return;
    const users = STEPS.map((_, user) => user).filter((user) => STEPS[user].stage === step.stage && M.facts[user] && M.facts[user].preimage.includes(`"${variable[1]}=`));
    if (users.length && !edits.some((edit) => edit.label === "ARG " + variable[1])) edits.push({ label: "ARG " + variable[1], kind: "arg", steps: users, certain: false });
  });
  const long = STEPS.map((_, at) => at).filter((at) => STEPS[at].instruction === "RUN" && M.facts[at]).sort((a, b) => (STEPS[b].seconds || 0) - (STEPS[a].seconds || 0));
  for (const at of long.slice(0, 2)) edits.push({ label: t("theLine", { step: stepName(at) }), kind: "line", steps: [at], certain: false });
  const bases = STEPS.map((_, at) => at).filter((at) => STEPS[at].cache === "base" && STEPS[at].layers.length);
  if (bases.length) edits.push({ label: t("theBase"), kind: "base", steps: bases, certain: true });
  edits.push({ label: t("onlyTimes"), kind: "touch", steps: [], certain: true });
  return { edits, files };
}
let whatIf = null;
function drawWhatIf() {
  const panel = byId("whatif");
  if (!panel) return;
  whatIf ||= { ...possibleEdits(), chosen: 0 };
  const options = h("datalist", { id: "paths" }, [...whatIf.files.keys()].slice(0, 400).map((file) => h("option", { value: shown(file) })));
  put(panel, h("h3", t("whatIfTitle")), h("div.chips", { role: "group", "aria-label": t("whatIfTitle") }, whatIf.edits.map((edit, at) =>
    h("button", { class: "pick", "aria-pressed": String(at === whatIf.chosen), "data-edit": at, onclick: () => chooseEdit(at) }, edit.kind === "file" ? code(edit.label) : shown(edit.label)))),
  whatIf.files.size > 6 && h("p.other-path", h("label", { for: "other-path" }, t("anotherPath")), " ", h("input", { id: "other-path", type: "text", list: "paths", dir: "ltr", onchange: (event) => {
    const file = [...whatIf.files.keys()].find((each) => shown(each) === event.target.value);
    put(byId("outcome"), file ? outcome({ label: file, kind: "file", steps: whatIf.files.get(file), certain: true }) : h("p.total", t("nobodyReads")));
  } }), options), h("div", { id: "outcome", "aria-live": "polite" }));
  chooseEdit(whatIf.chosen);
}
function chooseEdit(at) {
  whatIf.chosen = at;
  for (const button of byId("whatif").querySelectorAll("[data-edit]")) button.setAttribute("aria-pressed", String(Number(button.dataset.edit) === at));
  put(byId("outcome"), outcome(whatIf.edits[at]));
}
function outcome(edit) {
  const { fate, cause, work, wait, unknown } = predict(edit);
  const sure = fate.filter((each) => each === "runs" || each === "follows").length, maybe = fate.filter((each) => each === "perhaps").length;
  const total = !sure && !maybe ? t(edit.kind === "touch" ? "nothingTimes" : "nothingRuns") : t(maybe ? "stepsMaybe" : "stepsSure", { n: sure, maybe: count(maybe) });
  const time = (sure || maybe) && (work[1] ? t(maybe ? "workRange" : "workExact", { low: seconds(work[0]), high: seconds(work[1]), wait: seconds(wait) }) : "");
  return [h("p.total", total), h("p.mut", time, unknown && time ? " " + t("someTimesUnknown") : ""),
    h("ol.fates", STEPS.map((_, at) => at).filter((at) => STOPS.includes(at)).map((at) => h("li", { class: fate[at] || "cached" },
      h("span.fate", fate[at] === "runs" ? "● " + t("runs") : fate[at] === "follows" ? "● " + t("follows", { step: stepName(cause[at]) }) : fate[at] === "perhaps" ? "◐ " + t("perhaps", { step: stepName(cause[at]) }) : STEPS[at].instruction === "FROM" ? "■ " + t("cache_base") : "○ " + t("cache_hit")),
      h("code", { dir: "ltr" }, oneLine(stepText(at, 200), 58)), h("span.size", fate[at] && STEPS[at].seconds !== null ? seconds(STEPS[at].seconds) : ""))))];
}
