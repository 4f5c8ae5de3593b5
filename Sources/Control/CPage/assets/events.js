// The one stream that everything on the page follows. EventSource resumes by itself after a cut; where it gives up,
// this does.

import {ask} from "./api.js";

const kinds = ["snapshot", "item", "gone", "status", "cache", "latency", "notice"];
const slowest = 10_000;

/**
 * Calls `handlers[kind](data)` for each event, and `onState` with "open", "waiting" (it tries again) or "signed-out"
 * (it does not).
 */
export function follow(handlers, onState) {
  let lastID = "";
  let delay = 500;

  function open() {
    const source = new EventSource(lastID ? `/api/v1/events?last_event_id=${encodeURIComponent(lastID)}` : "/api/v1/events");
    source.addEventListener("open", () => {
      delay = 500;
      onState("open");
    });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return onState("waiting");
      onState("waiting");
      askWhy();
    });
    for (const kind of kinds) {
      source.addEventListener(kind, event => {
        if (event.lastEventId) lastID = event.lastEventId;
        handlers[kind]?.(JSON.parse(event.data));
      });
    }
  }

  // EventSource does not say why it was refused.
  async function askWhy() {
    try {
      await ask("GET", "/status");
    } catch (refusal) {
      if (refusal.status === 401 || refusal.status === 403) return onState("signed-out");
    }
    setTimeout(open, delay);
    delay = Math.min(delay * 2, slowest);
  }

  open();
}
