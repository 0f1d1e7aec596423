// The tour: a few stops that set the page and light one part of it.
let tourAt = -1, tourStops = [];
function stops() {
  const top = OWN[OWN.length - 1], lost = F ? lostVersions() : [], own = OWN.find((at) => !isBase(LAYERS[at])) ?? OWN[0];
  const twice = F ? lost.find((v) => F.how[v] !== DELETED) ?? lost[0] : undefined, gone = lost.find((v) => F.how[v] === DELETED);
  const root = rootSteps().find((at) => M.facts[at]) ?? STEPS.findIndex((_, at) => M.facts[at]);
  return [
    own !== undefined && ["line", ".lines-panel", () => goToLayer(own)],
    twice !== undefined && ["down", "#drill", () => showPath(F.owner[twice], stepOfLayer(layerOf(0, F.by[twice])))],
    gone !== undefined && ["gone", ".tree-panel", () => showPath(F.owner[gone], stepOfLayer(layerOf(0, F.by[gone])))],
    root >= 0 && ["why", "#why", () => goTo(root)],
    top !== undefined && ["names", "#digests", () => {}],
    F && F.n > 1 && ["sheet", "#container", () => {}],
  ].filter(Boolean);
}
function startTour() { tourStops = stops(); if (tourStops.length) showStop(0); }
function showStop(at) {
  tourAt = at;
  for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
  const [key, where, set] = tourStops[at], element = document.querySelector(where), cardBox = byId("tour");
  set();
  if (element.dataset.pane) showSheet(element.dataset.pane);
  element.classList.add("lit");
  element.scrollIntoView({ block: element.offsetHeight < innerHeight * 0.7 ? "center" : "start" });
  cardBox.hidden = false;
  put(cardBox, h("p.mut", t("tourOf", { at: at + 1, all: tourStops.length })), h("h3", { id: "tour-title", tabindex: -1 }, t("tour_" + key)), h("p", t("tour_" + key + "_text")),
    h("div.lab-tools", h("button.ghost", { disabled: at === 0, onclick: () => showStop(at - 1) }, t("back")), h("button.solid", { onclick: () => (at + 1 < tourStops.length ? showStop(at + 1) : endTour()) }, t(at + 1 < tourStops.length ? "nextStop" : "done")), h("button.ghost", { onclick: endTour }, t("leave"))));
  byId("tour-title").focus({ preventScroll: true });
}
function endTour() {
  tourAt = -1;
  byId("tour").hidden = true;
  for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
  byId("tour-button").focus({ preventScroll: true });
}
