// The latency of reads over the last two minutes: a column a second, a row each power of two of microseconds, darker
// where more reads were.

import {$, setText} from "./dom.js";
import {counted, microseconds} from "./words.js";

const columns = 120;
const rows = 24;

const history = Array(columns).fill(null);
let pending = null;
let hasAny = false;

/** The reads of a second. */
export function addLatency(latency) {
  if (latency.op !== "read" || !latency.count) return;
  pending = latency.counts;
  hasAny = true;
  $("heat").hidden = false;
  setText(
    $("heat-words"),
    `Half of the reads took at most ${microseconds(latency.p50us)}, 99 in 100 at most ${microseconds(latency.p99us)} (${counted(latency.count, "read")} in a second).`,
  );
}

/** A second has gone by. */
export function moveHeat() {
  if (!hasAny) return;
  history.shift();
  history.push(pending);
  pending = null;
  if (history.every(column => !column)) setText($("heat-words"), "No reads in the last two minutes.");
  if (!document.hidden) draw();
}

function draw() {
  const canvas = $("heat-strip");
  const context = canvas.getContext("2d");
  const [red, green, blue] = getComputedStyle(canvas).color.match(/[\d.]+/gu).map(Number);
  const image = context.createImageData(columns, rows);
  history.forEach((counts, x) => {
    if (!counts) return;
    const total = counts.reduce((sum, count) => sum + count, 0) || 1;
    counts.forEach((count, bucket) => {
      if (!count || bucket >= rows) return;
      // The root lets a single slow read among a thousand be seen.
      const alpha = 0.2 + 0.8 * Math.sqrt(count / total);
      image.data.set([red, green, blue, Math.round(alpha * 255)], ((rows - 1 - bucket) * columns + x) * 4);
    });
  });
  context.putImageData(image, 0, 0);
}

document.addEventListener("visibilitychange", () => !document.hidden && hasAny && draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => hasAny && draw());
