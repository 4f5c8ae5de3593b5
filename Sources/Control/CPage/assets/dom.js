// Elements and their text. Text from outside goes in by these and by nothing that reads markup.

export const $ = id => document.getElementById(id);

/** A new element: `make("p", {class: "soft"}, "text", child)`. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A copy of a template's only element, and those of its parts that have a name (`data-is`). */
export function copyOf(template) {
  const element = $(template).content.firstElementChild.cloneNode(true);
  const parts = {};
  for (const part of element.querySelectorAll("[data-is]")) parts[part.dataset.is] = part;
  return {element, parts};
}

/** Sets the text where it is another: what stays the same costs no layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Words with `code` in them: what stands between backticks becomes an element of its own. */
export function setWords(element, words) {
  if (element.dataset.words === words) return;
  element.dataset.words = words;
  element.replaceChildren(...words.split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part)));
}
