"use strict";
// Examples come as JSON and reach the page as text nodes only: nothing in them can become markup.
const examples = JSON.parse(document.getElementById("data").textContent);
const form = document.querySelector(".filters");
const list = document.getElementById("list");
const more = document.getElementById("more");
const PAGE = 50;
let found = [];

const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
};

const plain = (segments) => segments.map(([text]) => text).join("");

for (const example of examples) {
  example.haystack = [example.sentence, plain(example.gold), plain(example.base.text), plain(example.tuned.text), example.id]
    .join("\n").toLowerCase();
}

const options = {
  act: new Set(examples.map((example) => example.act)),
  attribute: new Set(examples.flatMap((example) => example.attributes)),
  error: new Set(examples.flatMap((example) => example.tuned.errors)),
};
for (const [name, values] of Object.entries(options)) {
  for (const value of [...values].sort()) form[name].append(new Option(value, value));
}

const outcomes = {
  all: () => true,
  "tuned-wrong": (example) => !example.tuned.exact,
  "tuned-right": (example) => example.tuned.exact,
  "base-right": (example) => example.base.exact,
  lost: (example) => example.base.exact && !example.tuned.exact,
};

const answer = (segments, className) => {
  const made = element("dd", className);
  for (const [text, differs] of segments) made.append(differs ? element("mark", "", text) : text);
  if (!segments.length) made.append(element("span", "quiet", "(empty)"));
  return made;
};

const card = (example) => {
  const made = element("li");
  made.tabIndex = 0;
  made.append(element("p", "", example.sentence));
  const answers = element("dl", "answers");
  answers.append(element("dt", "", "reference"), answer(example.gold, "gold"));
  for (const which of ["base", "tuned"]) {
    answers.append(element("dt", "", which), answer(example[which].text, example[which].exact ? "right" : ""));
  }
  made.append(answers, element("div", "tags", [example.id, ...example.tuned.errors].join(" · ")));
  return made;
};

const showMore = () => {
  const shown = list.children.length;
  list.append(...found.slice(shown, shown + PAGE).map(card));
  more.hidden = list.children.length >= found.length;
};

const update = () => {
  const words = form.search.value.toLowerCase().split(/\s+/).filter(Boolean);
  found = examples.filter((example) =>
    outcomes[form.outcome.value](example)
    && (!form.act.value || example.act === form.act.value)
    && (!form.attribute.value || example.attributes.includes(form.attribute.value))
    && (!form.error.value || example.tuned.errors.includes(form.error.value))
    && words.every((word) => example.haystack.includes(word)));
  document.getElementById("count").textContent = `${found.length} of ${examples.length} examples`;
  list.replaceChildren();
  showMore();
};

form.addEventListener("input", update);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(update));
more.addEventListener("click", showMore);

for (const button of document.querySelectorAll("[data-error]")) {
  button.addEventListener("click", () => {
    form.reset();
    form.error.value = button.dataset.error;
    update();
    document.getElementById("browser").scrollIntoView();
    form.error.focus({ preventScroll: true });
  });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (event.key === "/") {
    event.preventDefault();
    form.search.focus();
  } else if (event.key === "j" || event.key === "k") {
    const cards = [...list.children];
    const next = cards[cards.indexOf(document.activeElement.closest("#list li")) + (event.key === "j" ? 1 : -1)];
    if (next) next.focus();
  }
});

// On paper everything that was found is of use, not its first page.
window.addEventListener("beforeprint", () => { while (!more.hidden) showMore(); });

update();
