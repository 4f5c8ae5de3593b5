// What of an item's progress is worth saying aloud: a beginning, an end, never a percentage.

import {announce} from "./say.js";
import {readerNames} from "./words.js";

// Some programs open a file again and again; nobody wants to hear of each time.
const pause = 10_000;
const lastBeginnings = new WeakMap();

const isRead = item => item.size > 0 && (item.bytesRead ?? 0) >= item.size;
const isHere = item => item.bytesFetched >= item.size && !item.windowed;

/** Compares two states of one item, that `owner` stands for. Failures come as notices, with what to do. */
export function sayProgress(owner, was, item) {
  if (was.openRef === 0 && item.openRef > 0 && performance.now() - (lastBeginnings.get(owner) ?? -pause) >= pause) {
    lastBeginnings.set(owner, performance.now());
    announce(`${readerNames(item)} has begun to read ${item.name}.`);
  }
  if (!isRead(was) && isRead(item)) announce(`${item.name} is read to the end.`);
  if (item.pinned && !isHere(was) && isHere(item)) announce(`All of ${item.name} is here.`);
}
