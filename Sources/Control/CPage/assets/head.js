// The top of the page: how the mount is and how fast it goes.

import {$, setText, setWords} from "./dom.js";
import {announce} from "./say.js";
import {counted, mountState, plain, rate} from "./words.js";

let lastState = "";

/** A new status of the control plane. */
export function showStatus(status) {
  const words = mountState(status);
  setWords($("mount-state"), words);
  $("mount-state").dataset.state = status.shim.state;
  if (lastState && lastState !== status.shim.state) announce(plain(words), status.shim.state === "failed" ? "assertive" : "polite");
  lastState = status.shim.state;
  $("demo").hidden = status.service?.state !== "demo";
}

/** Shows the totals of all items: bytes a second, and how many are open. */
export function showSpeed({fetching, reading, open}) {
  const parts = [];
  if (fetching > 0) parts.push(`${rate(fetching)} fetched`);
  if (reading > 0) parts.push(`${rate(reading)} read`);
  $("speed").hidden = !parts.length;
  setText($("speed"), parts.join(" · "));
  const title = open > 0 ? `${counted(open, "file")} in use · FuseStream` : "FuseStream";
  if (document.title !== title) document.title = title;
}
