// Whether the page is live, and what it says when it is not.

import {$, setText, setWords} from "./dom.js";
import {announce} from "./say.js";
import {plain} from "./words.js";

// A restart of the control plane takes a moment; only what lasts longer is worth a banner.
const patience = 2500;

let since = null;
let wasOpen = false;
let timer = 0;

/** "open", "waiting" (it tries again) or "signed-out" (it does not). */
export function showStream(state) {
  $("stream").dataset.state = state;
  setText($("stream-words"), {open: "Live", waiting: wasOpen ? "Reconnecting" : "Connecting", "signed-out": "Signed out"}[state]);
  if (state === "open") return found();
  since ??= new Date();
  clearTimeout(timer);
  if (state === "signed-out") {
    lose("You are signed out", "What you see is no longer live. Run `fsmvp ui` in a terminal: it opens the page again.");
  } else if ($("lost").hidden) {
    timer = setTimeout(loseSight, Math.max(0, patience - (new Date() - since)));
  }
}

function loseSight() {
  const time = since.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", second: "2-digit"});
  const stale = wasOpen ? `What you see is from ${time}. ` : "";
  lose(
    "FuseStream does not answer",
    `${stale}This page tries again by itself. If FuseStream was stopped, \`fsmvp run\` starts it; if it is at another address now, \`fsmvp ui\` opens that.`,
  );
}

function found() {
  clearTimeout(timer);
  if (!$("lost").hidden) announce("Connected again.");
  $("lost").hidden = true;
  document.body.classList.remove("stale");
  since = null;
  wasOpen = true;
}

function lose(title, words) {
  setText($("lost-title"), title);
  setWords($("lost-words"), words);
  $("lost").hidden = false;
  document.body.classList.add("stale");
  announce(`${title}. ${plain(words)}`, "assertive");
}
