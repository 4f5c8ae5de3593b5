// The last minute of an item: bytes a second, fetched and read.

import {setAttribute} from "./dom.js";
import {rate} from "./words.js";

const seconds = 60;
const height = 20;

/** Bytes fetched and read in each of the last 60 seconds. */
export class Minute {
  fetched = new Float64Array(seconds);
  read = new Float64Array(seconds);

  /** The second that just ended. */
  push(fetched, read) {
    for (const [values, value] of [[this.fetched, fetched], [this.read, read]]) {
      values.copyWithin(0, 1);
      values[seconds - 1] = value;
    }
  }

  get peak() {
    return Math.max(...this.fetched, ...this.read);
  }
}

/** Draws it into the parts of a tile; both lines have one scale, or they could not be compared. */
export function drawSpark(parts, minute) {
  const peak = minute.peak;
  setAttribute(parts.sparkFetched, "d", line(minute.fetched, peak));
  setAttribute(parts.sparkRead, "d", line(minute.read, peak));
  setAttribute(parts.spark, "aria-label", `The last minute: at most ${rate(peak)}`);
}

function line(values, peak) {
  // From where it began on: nothing is not drawn as a line of nothings.
  const first = values.findIndex(value => value > 0);
  if (first < 0) return "";
  let path = "";
  for (let second = Math.max(0, first - 1); second < seconds; second++) {
    const y = height - 1 - (values[second] / peak) * (height - 2);
    path += `${path ? "L" : "M"}${second} ${Math.round(y * 10) / 10}`;
  }
  return path;
}
