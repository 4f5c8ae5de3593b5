// All staged items, newest first. A thousand may stand here: their elements are made a few at a time, and only those
// that changed are drawn.

import {$, setText} from "./dom.js";
import {sayProgress} from "./milestones.js";
import {announce} from "./say.js";
import {Tile} from "./tile.js";
import {counted, number} from "./words.js";

const atOnce = 12;
const aFrame = 40;
const filterFrom = 8;
const manyFrom = 100;

/** By id: {item, tile}; `tile` is null until its turn has come. */
const entries = new Map();
/** Entries to be drawn at the next frame. */
const dirty = new Set();
/** Tiles whose last minute is not empty. */
const moving = new Set();
/** Ids still without elements, newest first. */
let backlog = [];
/** Bodies that other modules run in the next frame. */
let guests = [];
let frame = 0;
let fallback = 0;
let onSpeed = () => {};

/** `speed` is called with what all items together do, whenever that may have changed. */
export function startTiles(speed) {
  onSpeed = speed;
  $("filter").addEventListener("input", applyFilter);
  $("filter").addEventListener("keydown", event => {
    if (event.key !== "Escape" || !$("filter").value) return;
    $("filter").value = "";
    applyFilter();
  });
}

/** All there are, in the order of staging. */
export function setItems(items) {
  const ids = new Set(items.map(item => item.id));
  for (const id of [...entries.keys()]) if (!ids.has(id)) removeItem(id);
  const fresh = [];
  for (const item of items) {
    if (entries.has(item.id)) putItem(item);
    else {
      entries.set(item.id, {item, tile: null});
      fresh.push(item.id);
    }
  }
  // A later snapshot mostly repeats items that the page already has; the first has only new ones.
  const isFirst = entries.size === fresh.length;
  if (isFirst) {
    backlog = fresh.reverse();
    build(atOnce);
  } else for (const id of fresh) prepend(entries.get(id));
  count();
  wake();
}

/** A new item or a new state of one. */
export function putItem(item) {
  const entry = entries.get(item.id);
  if (!entry) {
    const made = {item, tile: null};
    entries.set(item.id, made);
    prepend(made);
    count();
  } else {
    sayProgress(entry, entry.item, item);
    entry.item = item;
    dirty.add(entry);
  }
  wake();
}

/** Removes an item; if its tile has the focus, the neighbour gets it. */
export function removeItem(id) {
  const entry = entries.get(id);
  if (!entry) return;
  entries.delete(id);
  dirty.delete(entry);
  const {tile} = entry;
  if (!tile) backlog = backlog.filter(other => other !== id);
  else {
    moving.delete(tile);
    const hadFocus = tile.element.contains(document.activeElement);
    const next = shownNeighbour(tile.element);
    tile.element.remove();
    if (hadFocus) (next ?? $("staged-title")).focus();
  }
  count();
  wake();
}

/** Shows an item that this page has just staged: it comes into sight and gets the focus. */
export function welcome(item, stoodBefore) {
  putItem(item);
  const entry = entries.get(item.id);
  if (!entry.tile) {
    backlog = backlog.filter(id => id !== item.id);
    prepend(entry);
  }
  if (entry.tile.element.hidden) {
    $("filter").value = "";
    applyFilter();
  }
  focusItem(item.id);
  announce(
    stoodBefore
      ? `${item.name} is already staged for ${item.recipient}.`
      : `${item.name} is staged for ${item.recipient}. Its path can be copied now.`,
  );
}

/** Puts the focus on an item's tile; false where there is none. */
export function focusItem(id) {
  const tile = entries.get(id)?.tile;
  tile?.element.focus();
  tile?.element.scrollIntoView({block: "nearest"});
  return Boolean(tile);
}

export const isStaged = (fileId, recipient) =>
  [...entries.values()].some(({item}) => item.fileId === fileId && item.recipient === recipient && item.state !== "leaving");

export const itemOf = id => entries.get(id)?.item;

/** A second has gone by: the last minutes move on. */
export function moveSparks() {
  for (const tile of moving) if (!tile.second()) moving.delete(tile);
}

// Elements

function make(entry) {
  const tile = new Tile(entry.item, {onItem: putItem, onGone: removeItem});
  entry.tile = tile;
  dirty.delete(entry);
  note(tile);
  tile.element.hidden = !matches(entry.item);
  return tile.element;
}

const prepend = entry => $("tiles").prepend(make(entry));

function build(most) {
  const some = backlog.splice(0, most);
  $("tiles").append(...some.map(id => make(entries.get(id))));
}

function shownNeighbour(element) {
  for (const way of ["nextElementSibling", "previousElementSibling"]) {
    let other = element[way];
    while (other?.hidden) other = other[way];
    if (other) return other;
  }
  return null;
}

// Frames

/** A page in the background has no frames, and others watch its figures all the same. */
function wake() {
  frame ||= requestAnimationFrame(draw);
  fallback ||= setTimeout(draw, 300);
}

/** Calls `body` in the next frame that has another reason, or soon: with a thousand files a frame costs more than what
 * is drawn in it. */
export function withNextFrame(body) {
  guests.push(body);
  fallback ||= setTimeout(draw, 300);
}

function draw() {
  cancelAnimationFrame(frame);
  clearTimeout(fallback);
  frame = fallback = 0;
  for (const entry of dirty) {
    if (!entry.tile) continue;
    entry.tile.item = entry.item;
    entry.tile.draw();
    note(entry.tile);
  }
  dirty.clear();
  for (const body of guests) body();
  guests = [];
  if (backlog.length) {
    build(aFrame);
    wake();
  }
  sum();
}

function note(tile) {
  const {fetchRate = 0, readRate = 0} = tile.item;
  if (fetchRate > 0 || readRate > 0) moving.add(tile);
}

function sum() {
  let [fetching, reading, open] = [0, 0, 0];
  for (const {item} of entries.values()) {
    fetching += item.fetchRate ?? 0;
    reading += item.readRate ?? 0;
    if (item.openRef > 0) open += 1;
  }
  onSpeed({fetching, reading, open});
}

// The head of the list

function count() {
  const size = entries.size;
  $("tiles").classList.toggle("many", size > manyFrom);
  $("staged-empty").hidden = size > 0;
  $("how").hidden = size === 0;
  $("filter-field").hidden = size <= filterFrom && !$("filter").value;
  const found = $("filter").value.trim() ? `, ${number([...entries.values()].filter(({item}) => matches(item)).length)} of them shown` : "";
  setText($("staged-count"), size ? `${counted(size, "file")} staged${found}` : "");
}

function matches(item) {
  const wanted = $("filter").value.trim().toLocaleLowerCase();
  const has = text => text.toLocaleLowerCase().includes(wanted);
  return !wanted || has(item.name) || has(item.recipient);
}

function applyFilter() {
  for (const {item, tile} of entries.values()) if (tile) tile.element.hidden = !matches(item);
  count();
}
