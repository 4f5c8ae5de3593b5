// The actions on a staged item: copy its path, pin it, remove it.

import {ask, path} from "./api.js";
import {make, setText} from "./dom.js";
import {announce, notify} from "./say.js";
import {advice, readingNow} from "./words.js";

/** Puts the path on the clipboard; where that is not allowed, selects it for the person to copy. */
export async function copyPath(tile) {
  const {path: code, said} = tile.parts;
  let words = "Copied";
  try {
    await navigator.clipboard.writeText(tile.item.path);
  } catch {
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    words = "Selected: press Ctrl+C";
  }
  setText(said, words);
  announce(words === "Copied" ? `The path of ${tile.item.name} is copied.` : `The path of ${tile.item.name} is selected; press Ctrl+C.`);
  clearTimeout(tile.saidTimer);
  tile.saidTimer = setTimeout(() => setText(said, ""), 4000);
}

/** Pins or unpins. `onItem(item)` gets what the control plane says of it. */
export async function pin(tile, onItem) {
  await once(tile.parts.pin, async () => {
    const pinned = !tile.item.pinned;
    onItem(await ask("PATCH", `/staged${path(tile.item.id)}`, {body: {pinned}}));
    announce(pinned ? `${tile.item.name} is pinned: it is fetched whole and kept.` : `${tile.item.name} is no longer pinned.`);
  }, refusal => notify("error", `could not be ${tile.item.pinned ? "unpinned" : "pinned"}. ${said(refusal)}`, {about: tile.item.name}));
}

/** Removes; asks first if the file is open. `onGone(id)` is called when it is no longer staged. */
export async function remove(tile, onGone) {
  if (tile.item.openRef > 0) return confirmRemoval(tile, onGone);
  await removeNow(tile, onGone);
}

async function removeNow(tile, onGone) {
  const {id, name} = tile.item;
  await once(tile.parts.remove, async () => {
    await ask("DELETE", `/staged${path(id)}`);
    announce(`${name} is removed.`);
    onGone(id);
  }, refusal => {
    if (refusal.code === "no_such_item") return onGone(id);
    notify("error", `could not be removed. ${said(refusal)}`, {about: name});
  });
}

function confirmRemoval(tile, onGone) {
  const words = `${readingNow(tile.item)} and will get the rest, but the path goes at once. Remove it?`;
  const keep = make("button", {type: "button"}, "Keep");
  const yes = make("button", {type: "button", class: "danger"}, "Yes, remove");
  const group = make("div", {class: "confirm", role: "group", "aria-label": "Remove it?"}, make("p", {}, words), keep, yes);
  const close = () => {
    group.remove();
    tile.parts.actions.hidden = false;
    tile.parts.remove.focus();
  };
  keep.addEventListener("click", close);
  group.addEventListener("keydown", event => event.key === "Escape" && close());
  yes.addEventListener("click", () => {
    close();
    removeNow(tile, onGone);
  });
  tile.parts.actions.hidden = true;
  tile.parts.actions.after(group);
  announce(words, "assertive");
  keep.focus();
}

/** One request at a time a button; it keeps the focus meanwhile. */
async function once(button, work, onRefusal) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    await work();
  } catch (refusal) {
    onRefusal(refusal);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

const said = refusal => `${refusal.message} ${advice(refusal)}`.trim();
