// What of an item's progress is worth saying aloud: a beginning, an end, never a percentage.

import {announce} from "./say.js";
import {readerNames} from "./words.js";

/** Compares two states of one item. Failures come as notices, with what to do. */
export function sayProgress(was, item) {
  if (was.openRef === 0 && item.openRef > 0) {
    announce(`${readerNames(item)} has begun to read ${item.name}.`);
  }
  const isRead = of => of.size > 0 && (of.bytesRead ?? 0) >= of.size;
  if (!isRead(was) && isRead(item)) announce(`${item.name} is read to the end.`);
  else if (was.openRef > 0 && item.openRef === 0 && !isRead(item)) announce(`${item.name} was closed before its end.`);
  const isHere = of => of.bytesFetched >= of.size && !of.windowed;
  if (item.pinned && !isHere(was) && isHere(item)) announce(`All of ${item.name} is here.`);
}
