// Messages: in the live regions for screen readers, on cards for the eye.

import {$, make, setWords} from "./dom.js";
import {plain} from "./words.js";

const remembered = 6;
const calmSeconds = 9;
const mostCards = 4;

/** Says a text politely or at once ("assertive"). The last few stay there to be read again. */
export function announce(text, manner = "polite") {
  const region = $(manner);
  region.append(make("p", {}, text));
  while (region.childElementCount > remembered) region.firstElementChild.remove();
}

/**
 * A card, and the same aloud. `level`: "info" goes by itself, "warning" and "error" stay until they are dismissed.
 * `about`: the name of what it is about, to stand before the words; it is not ours, so nothing in it is a mark.
 * `action`: {label, run} for a button that leads there.
 */
export function notify(level, words, {about = "", action} = {}) {
  const spoken = `${about} ${plain(words)}`.trim();
  announce(spoken, level === "info" ? "polite" : "assertive");
  const area = $("notices");
  for (const card of [...area.children]) if (card.dataset.spoken === spoken) card.remove();

  const text = make("span");
  setWords(text, words);
  const card = make("div", {class: `notice ${level}`}, make("p", {}, make("bdi", {dir: "auto"}, about), about ? " " : "", text));
  card.dataset.spoken = spoken;
  const dismiss = make("button", {type: "button"}, "Dismiss");
  const leave = () => {
    const hadFocus = card.contains(document.activeElement);
    card.remove();
    area.hidden = !area.childElementCount;
    if (hadFocus) (area.querySelector("button") ?? $("staged-title")).focus();
  };
  dismiss.addEventListener("click", leave);
  card.addEventListener("keydown", event => event.key === "Escape" && leave());
  if (action) {
    const go = make("button", {type: "button"}, action.label);
    go.addEventListener("click", () => {
      action.run();
      leave();
    });
    card.append(go);
  }
  card.append(dismiss);
  area.append(card);
  while (area.childElementCount > mostCards) area.firstElementChild.remove();
  area.hidden = false;
  const calm = calmSeconds * 1000;
  if (level === "info") setTimeout(() => (card.matches(":hover, :focus-within") ? setTimeout(leave, calm) : leave()), calm);
}
