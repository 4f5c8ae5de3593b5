// The map of the file: which of its bytes are here, where each reader is. One background and a mark a reader.

import {setAttribute} from "./dom.js";
import {percent, readerNames} from "./words.js";

/** Hex digits, a cell each, as a gradient of runs: four shades tell a cell that is begun from one that is nearly
 * here. */
export function gradient(map) {
  const runs = [];
  let shade = -1;
  for (let cell = 0; cell < map.length; cell++) {
    const next = shadeOf(map[cell]);
    if (next === shade) continue;
    runs.push({shade: next, from: cell});
    shade = next;
  }
  const stops = runs.map((run, index) => {
    const until = runs[index + 1]?.from ?? map.length;
    return `var(--here-${run.shade}) ${at(run.from, map.length)} ${at(until, map.length)}`;
  });
  return stops.length ? `linear-gradient(to right, ${stops.join(", ")})` : "none";
}

function shadeOf(digit) {
  const level = parseInt(digit, 16);
  if (!(level > 0)) return 0;
  return level === 15 ? 3 : level > 7 ? 2 : 1;
}

const at = (cell, cells) => `${Math.round((cell / cells) * 10_000) / 100}%`;

/** The map in words, for a screen reader. */
export function mapWords(item) {
  const map = item.map ?? "";
  const here = [];
  let from = -1;
  for (let cell = 0; cell <= map.length; cell++) {
    const isHere = cell < map.length && shadeOf(map[cell]) === 3;
    if (isHere && from < 0) from = cell;
    if (!isHere && from >= 0) {
      here.push(`${percent(from, map.length)} to ${percent(cell, map.length)} %`);
      from = -1;
    }
  }
  const more = here.length > 4 ? ` and ${here.length - 4} more pieces` : "";
  const bytes = here.length ? `here: ${here.slice(0, 4).join(", ")}${more}` : "nothing whole is here";
  const readers = (item.readers ?? []).map(reader => `${percent(reader.position, item.size)} %`);
  const who = readers.length ? `; ${readerNames(item)} at ${readers.slice(0, 4).join(", ")}` : "";
  return `Map of the file: ${bytes}${who}`;
}

/** Draws both into `parts.map` and `parts.cells`. */
export function drawMap(parts, item, last) {
  if (item.map !== last?.map) parts.cells.style.backgroundImage = gradient(item.map ?? "");
  drawReaders(parts.map, item);
  setAttribute(parts.map, "aria-label", mapWords(item));
}

function drawReaders(map, item) {
  const readers = item.size > 0 ? (item.readers ?? []).slice(0, 16) : [];
  const marks = map.getElementsByTagName("i");
  while (marks.length > readers.length) marks[marks.length - 1].remove();
  while (marks.length < readers.length) map.append(document.createElement("i"));
  readers.forEach((reader, index) => {
    marks[index].style.setProperty("left", `${Math.min(100, (reader.position / item.size) * 100)}%`);
  });
}
