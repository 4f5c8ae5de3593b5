// One staged item on the page. Its elements are kept, and an event touches only what it changes.

import {copyOf, setAttribute, setText} from "./dom.js";
import {drawMap} from "./map.js";
import {copyPath, pin, remove} from "./orders.js";
import {drawSpark, Minute} from "./spark.js";
import {bytes, fetchedWords, itemState, percent, readerWords, readWords} from "./words.js";

export class Tile {
  /** The item as it was when it was last drawn. */
  #drawn = null;
  #minute = null;

  /** `orders`: what becomes of a person's orders, `{onItem, onGone}`. */
  constructor(item, orders) {
    this.item = item;
    const {element, parts} = copyOf("tile");
    this.element = element;
    this.parts = parts;
    element.setAttribute("aria-label", `${item.name}, for ${item.recipient}, ${bytes(item.size)}`);
    element.dataset.id = item.id;
    setText(parts.name, item.name);
    setText(parts.recipient, item.recipient);
    setText(parts.size, bytes(item.size));
    setText(parts.path, item.path);
    setText(parts.command, `fsmvp-tile ${item.id}`);
    parts.copy.addEventListener("click", () => copyPath(this));
    parts.pin.addEventListener("click", () => pin(this, orders.onItem));
    parts.remove.addEventListener("click", () => remove(this, orders.onGone));
    this.draw();
  }

  /** Brings the page up to `item`. */
  draw() {
    const {item, parts} = this;
    const last = this.#drawn;
    if (item === last) return;
    this.#drawn = item;
    setAttribute(this.element, "data-state", item.state);
    setText(parts.state, itemState(item));
    this.#bar(parts.fetched, item.bytesFetched, item.size);
    this.#bar(parts.read, item.bytesRead ?? 0, item.size);
    setText(parts.fetchedWords, fetchedWords(item));
    setText(parts.readWords, readWords(item));
    setText(parts.readers, readerWords(item));
    drawMap(parts, item, last);
    setAttribute(parts.pin, "aria-pressed", String(item.pinned));
    if (item.path !== last?.path) setText(parts.path, item.path);
    const isLeaving = item.state === "leaving";
    for (const button of [parts.copy, parts.pin, parts.remove]) button.disabled = isLeaving;
    this.#showActivity();
  }

  #bar(bar, part, whole) {
    setAttribute(bar, "aria-valuenow", String(percent(part, whole)));
    bar.firstElementChild.style.setProperty("--part", whole > 0 ? Math.min(1, part / whole) : 1);
  }

  /** A second has gone by; false once its last minute is empty. */
  second() {
    const {fetchRate = 0, readRate = 0} = this.item;
    this.#minute ??= new Minute();
    this.#minute.push(fetchRate, readRate);
    const peak = this.#minute.peak;
    drawSpark(this.parts, this.#minute);
    if (!peak) this.#minute = null;
    this.#showActivity();
    return peak > 0;
  }

  #showActivity() {
    const isActive = this.#minute !== null || this.item.openRef > 0;
    if (this.parts.activity.hidden === isActive) this.parts.activity.hidden = !isActive;
  }
}
