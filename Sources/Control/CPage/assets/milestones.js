// Spoken announcements of an item's progress: a beginning, an end, never a percentage.

import {announce} from "./say.js";
import {readerNames} from "./words.js";

// Some programs open a file again and again; at most one beginning in this time is announced.
const pause = 10_000;
// A reader's name may come a moment after its open; the announcement waits so long for it.
const patience = 1500;

/** For each `owner` of an item: when a beginning was announced last, and since when one waits for the reader's name. */
const beginnings = new WeakMap();

const isRead = item => item.size > 0 && (item.bytesRead ?? 0) >= item.size;
const isHere = item => item.bytesFetched >= item.size && !item.windowed;

/** Compares two states of one item, that `owner` stands for. Failures come as notices, with what to do. */
export function sayProgress(owner, was, item) {
  sayBeginning(owner, was, item);
  if (!isRead(was) && isRead(item)) announce(`${item.name} is read to the end.`);
  if (item.pinned && !isHere(was) && isHere(item)) announce(`All of ${item.name} is here.`);
}

function sayBeginning(owner, was, item) {
  const now = performance.now();
  const {said = -pause, since = null} = beginnings.get(owner) ?? {};
  const begun = since ?? (was.openRef === 0 && item.openRef > 0 && now - said >= pause ? now : null);
  if (begun === null) return;
  const isKnown = (item.readers ?? []).some(reader => reader.process);
  if (item.openRef > 0 && !isKnown && now - begun < patience) return void beginnings.set(owner, {said, since: begun});
  beginnings.set(owner, {said: now});
  announce(`${isKnown ? readerNames(item) : "A program"} has begun to read ${item.name}.`);
}
