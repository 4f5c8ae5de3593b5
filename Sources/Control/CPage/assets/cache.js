// How much of the disk the fetched bytes take, and Clear.

import {ask} from "./api.js";
import {$, setAttribute, setText} from "./dom.js";
import {announce, notify} from "./say.js";
import {advice, bytes, counted, percent} from "./words.js";

/** A new report. */
export function showCache(cache) {
  const used = cache.bytes + cache.reserved;
  const share = cache.limit > 0 ? percent(used, cache.limit) : 0;
  const reserved = cache.reserved > 0 ? `, ${bytes(cache.reserved)} more promised` : "";
  setText($("cache-words"), `${bytes(cache.bytes)} here${reserved}, of at most ${bytes(cache.limit)}. ${bytes(cache.free)} free on the disk.`);
  setAttribute($("cache-meter"), "aria-valuenow", String(share));
  setAttribute($("cache-meter"), "aria-valuetext", `${share} %, ${bytes(cache.bytes)}`);
  $("cache-meter").firstElementChild.style.setProperty("--part", cache.limit > 0 ? Math.min(1, used / cache.limit) : 0);
  const more = [];
  if (cache.windowBytes > 0) more.push(`${bytes(cache.windowBytes)} of ${bytes(cache.windowLimit)} in memory`);
  if (cache.leaving > 0) more.push(`${bytes(cache.leaving)} about to be free`);
  if (cache.leftovers?.files > 0) more.push(`${bytes(cache.leftovers.bytes)} left by earlier runs, for the next open`);
  $("cache-more").hidden = !more.length;
  setText($("cache-more"), more.join(" · "));
}

/** Makes the button work. */
export function startCache() {
  const button = $("cache-clear");
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    say("Clearing…");
    try {
      const {items, bytes: freed} = await ask("DELETE", "/cache");
      const words = items ? `Freed ${bytes(freed)} of ${counted(items, "file")}.` : "Nothing to free: what is here is open or pinned.";
      say(words);
      announce(words);
    } catch (refusal) {
      say("");
      notify("error", `The cache was not cleared. ${refusal.message} ${advice(refusal)}`.trim());
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
}

function say(words) {
  setText($("cache-said"), words);
  $("cache-said").hidden = !words;
}
