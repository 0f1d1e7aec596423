// Questions about this build, made by builder.explain.page.quiz; the answer is told with its reason.
function fillIn(values) {
  const filled = {};
  for (const [key, value] of Object.entries(values || {}))
    filled[key] = key === "n" ? value : Array.isArray(value) ? { bytes: () => bytes(value[1]), step: () => stepName(value[1]), text: () => stepText(value[1], 60), layer: () => LAYERS[value[1]].name }[value[0]]() : shown(String(value));
  return filled;
}
const quizText = ([key, values]) => (key === "text" ? shown(values.text) : t(key, fillIn(values)));
function quizSection() {
  return section("quiz", t("quizTitle", { n: M.quiz.length }), t("quizLead"), h("div.quiz", M.quiz.map((question, at) => {
    const answer = h("p.answer", { "aria-live": "polite" });
    return h("fieldset", h("legend", h("span.step-no", at + 1), " ", quizText(question.ask)), question.options.map((option, number) => h("label.option", h("input", { type: "radio", name: "q" + at, value: number, onchange: (event) => {
      const right = number === question.right;
      for (const label of event.target.closest("fieldset").querySelectorAll("label")) label.classList.remove("right", "wrong");
      event.target.closest("label").classList.add(right ? "right" : "wrong");
      put(answer, h("b", right ? "✓ " + t("right") : "✗ " + t("wrong")), " ", quizText(question.why));
    } }), " ", h("span", quizText(option)))), answer);
  })));
}
