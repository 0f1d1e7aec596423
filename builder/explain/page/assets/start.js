// The page is put together: first what the model has, then, when they are unpacked, the files.
function helpDialog() {
  const keys = [["[ ]", "key_step"], ["u l t", "key_view"], ["/", "key_find"], ["1–7", "key_part"], ["↑ ↓ ← →", "key_tree"], ["?", "key_help"], ["Esc", "key_escape"]];
  return h("dialog", { id: "help", "aria-labelledby": "help-title" }, h("h2", { id: "help-title" }, t("help")), h("dl.keys", keys.map(([key, text]) => h("div", h("dt", h("kbd", key)), h("dd", t(text))))),
    h("p", h("label", h("input", { type: "checkbox", id: "single-keys", checked: true, onchange: (event) => { S.keys = event.target.checked; } }), " ", t("singleKeys"))),
    h("p.mut", t("linkHint")), h("p", h("button.solid", { onclick: () => byId("help").close() }, t("close"))));
}
function keyboard(event) {
  if (event.key === "Escape" && tourAt >= 0) return endTour();
  if (!S.keys || event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  if (event.target.matches("input:not([type=range]):not([type=checkbox]):not([type=radio]), select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const view = { u: "union", l: "layer", t: "tar" }[event.key];
  if (event.key === "[") move(-1);
  else if (event.key === "]") move(1);
  else if (view) change({ view });
  else if (event.key === "/") { showSheet("files"); byId("find").focus(); }
  else if (event.key === "?") byId("help").showModal();
  else if (/^[1-7]$/.test(event.key)) { const part = byId(PARTS[event.key - 1]); part.scrollIntoView(); part.querySelector("h2").focus({ preventScroll: true }); }
  else return;
  event.preventDefault();
}
// out.html#line-12 opens at the step of line 12, #step-3 at the third step of all.
function fromAddress() {
  const found = /^#(line|step)-(\d+)$/.exec(location.hash);
  if (!found) return;
  const number = Number(found[2]);
  const at = found[1] === "step" ? number - 1 : STEPS.findIndex((step) => step.line && step.line <= number && number <= Math.max(step.line, step.last_line));
  if (STOPS.includes(at)) goTo(at);
}
function start() {
  put(byId("page"), h("a.skip", { href: "#layers" }, t("skip")), head(), h("main",
    section("layers", t("layersTitle"), t(hasRecord ? "layersLead" : "layersLeadHistory"), h("div.bench", { id: "bench", "data-sheet": "lines" }, dockerfilePanel(), treePanel(), drillPanel())),
    whySection(), hiddenSection(), digestsSection(), containerSection(), sharedSection(), M.quiz.length > 0 && quizSection()),
  h("footer", h("p", t("footer", { version: M.pybuild })), h("p.mut", t("footerPrivate"))), h("aside.tour", { id: "tour", hidden: true, role: "dialog", "aria-labelledby": "tour-title" }), helpDialog());
  for (const title of document.querySelectorAll("main h2")) title.tabIndex = -1;
  byId("lines").addEventListener("keydown", lineKeys);
  document.addEventListener("keydown", keyboard);
  addEventListener("hashchange", fromAddress);
  new ResizeObserver(() => { drawRail(); drawRows(); }).observe(byId("bench"));
  addEventListener("beforeprint", () => { document.documentElement.classList.add("printing"); drawRows(); });
  addEventListener("afterprint", () => { document.documentElement.classList.remove("printing"); drawRows(); });
  change({ step: S.step });
  fromAddress();
  requestAnimationFrame(() => setTimeout(async () => {
    drawWhatIf();
    drawLab();
    try { await loadFiles(); } catch (problem) { put(byId("sums"), t("cannotUnpack", { why: String(problem.message) })); return; }
    if (S.path < 0 && F.secret.length && !place()) S.path = F.secret[0];
    change({ files: true });
    if (S.path < 0 && listed.length) { const at = listed.findIndex((it) => now && now.letter[it.p] && !it.below); if (at >= 0) { cursor = at; change({ path: listed[at].p }); } }
    drawHidden();
    drawContainer();
    secretVerdict();
    document.documentElement.dataset.ready = "yes";
  }));
}
start();
