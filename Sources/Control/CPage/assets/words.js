// All that is said in numbers and sentences. Pure: values in, text out.

const units = [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]];

/** Writes sizes like the command line: "512 MiB", "1.5 GiB", "17 B". */
export function bytes(count) {
  for (const [name, factor] of units) {
    if (count >= factor) return `${Math.round((count / factor) * 10) / 10} ${name}`;
  }
  return `${Math.round(count)} B`;
}

export const rate = perSecond => `${bytes(perSecond)}/s`;

const grouped = new Intl.NumberFormat("en");
export const number = value => grouped.format(value);
export const counted = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

/** Whole per cent, rounded down: 100 is said of the whole alone. Nothing of nothing is all of it. */
export function percent(part, whole) {
  if (part >= whole) return 100;
  return Math.min(99, Math.max(0, Math.floor((part / whole) * 100)));
}

export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 600) return s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s / 60} min`;
  const minutes = Math.round(s / 60);
  if (minutes < 60) return `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

/** The time left, as exactly as it is known: tens of seconds from a minute on. */
const eta = seconds => duration(seconds < 60 ? Math.max(1, seconds) : Math.round(seconds / 10) * 10);

export function microseconds(value) {
  if (value < 1000) return `${Math.round(value)} µs`;
  if (value < 1e6) return `${Math.round(value / 100) / 10} ms`;
  return `${Math.round(value / 1e5) / 10} s`;
}

/** A sentence of the control plane's, which begin small and end open, as one of this page's. */
export function sentence(text) {
  const trimmed = (text ?? "").trim();
  if (!trimmed) return "";
  return trimmed[0].toUpperCase() + trimmed.slice(1) + (/[.!?…]$/u.test(trimmed) ? "" : ".");
}

/** Without the backticks that mark what to type; for what is said aloud. */
export const plain = words => words.replaceAll("`", "");

/** "a", "a and b", "a, b and c". */
export function list(names) {
  return names.length < 2 ? (names[0] ?? "") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

// Names of processes (15 bytes of them, as the kernel keeps them) that read a file because a page uploads it.
const browsers = new RegExp(
  "^(chrom|google-chrome|firefox|librewolf|msedge|brave|opera|vivaldi|epiphany|webkit|safari|isolated web|web content)", "iu");
const isBrowser = name => browsers.test(name);

/** The names of the item's readers, each once, in words; "" if it has none. */
export function readerNames(item) {
  const readers = item.readers ?? [];
  const known = [...new Set(readers.map(reader => reader.process).filter(Boolean))];
  if (known.length) return list(known.length > 3 ? [...known.slice(0, 3), "others"] : known);
  return item.openRef > 0 ? "a program" : "";
}

/** "cp and vlc are reading it now", for a question that begins with it. */
export function readingNow(item) {
  return `${readerNames(item).replace(/^a program/u, "A program") || "A program"} ${isPlural(item) ? "are" : "is"} reading it now`;
}

const isPlural = item => new Set((item.readers ?? []).map(reader => reader.process).filter(Boolean)).size > 1;

/** The state of an item, in words that need no introduction. */
export function itemState(item) {
  const who = readerNames(item);
  const verb = isPlural(item) ? "are" : "is";
  switch (item.state) {
    case "failed":
      return `Failed: ${sentence(item.failure ?? "it is not known why")} Whatever reads it next tries again; Pin tries at once.`;
    case "leaving":
      return who ? `Removed. ${who} ${verb} still reading, to the end.` : "Removed; it goes in a moment.";
    case "open": {
      const trouble = item.failure ? ` The last try failed: ${sentence(item.failure)}` : "";
      if (item.size > 0 && item.bytesRead >= item.size) return `Read to the end; ${who} ${isPlural(item) ? "have" : "has"} it open still.${trouble}`;
      const isUpload = (item.readers ?? []).some(reader => isBrowser(reader.process));
      return `${isUpload ? "Uploading" : "In use"}: ${who} ${verb} reading.${trouble}`;
    }
    default:
      return readyState(item);
  }
}

function readyState(item) {
  const isHere = item.bytesFetched >= item.size && !item.windowed;
  const kept = item.pinned ? (isHere ? " Pinned: all of it is here and stays." : " Pinned: it is being fetched to stay.") : "";
  if (item.size === 0) return `Ready. The file is empty.${kept}`;
  if (item.bytesRead >= item.size) return `Done: read to the end. It can be used again.${kept}`;
  if (item.bytesRead > 0) return `Ready. It was read up to ${percent(item.bytesRead, item.size)} %.${kept}`;
  if (kept) return `Ready.${kept}`;
  if (item.fetchRate > 0) return "Ready. It is being fetched ahead.";
  return "Ready. Nobody has opened it yet.";
}

/** Beside the bar "Fetched". */
export function fetchedWords(item) {
  const share = `${percent(item.bytesFetched, item.size)} %`;
  return item.fetchRate > 0 ? `${share} · ${rate(item.fetchRate)}` : share;
}

/** Beside the bar "Read". */
export function readWords(item) {
  const parts = [`${percent(item.bytesRead ?? 0, item.size)} %`];
  if (item.readRate > 0) parts.push(rate(item.readRate));
  if (item.etaSeconds > 0) parts.push(`${eta(item.etaSeconds)} left`);
  return parts.join(" · ");
}

/** Each open handle: "chromium (pid 4711) at 41 %". */
export function readerWords(item) {
  const each = (item.readers ?? []).map(reader => {
    const who = reader.process ? `${reader.process} (pid ${reader.pid})` : `pid ${reader.pid}`;
    return `${who} at ${percent(reader.position, item.size)} %`;
  });
  if (each.length > 4) return `${each.slice(0, 4).join(" · ")} · ${each.length - 4} more`;
  return each.join(" · ");
}

/** The state of the mount. Backticks mark what to type. */
export function mountState(status) {
  const {state, reason} = status.shim;
  switch (state) {
    case "starting": return `Starting: ${status.mount} is being mounted.`;
    case "serving": return `Mounted at ${status.mount}`;
    case "replacing": return "The mount changes hands; whoever reads waits a moment and goes on.";
    case "failed": return `The mount is lost: ${sentence(reason ?? "it is not known why")} Start \`fsmvp run\` again.`;
    default: return `The mount is ${state}.`;
  }
}

/** Advice about a refusal, to follow its sentence; "" if that says it all. */
export function advice(refusal) {
  switch (refusal.code) {
    case "unauthorized": case "forbidden": return "Run `fsmvp ui` in a terminal to sign in again.";
    case "no_credentials": return "";
    case "service_unreachable": return "Check the network, then try again.";
    case "service_refused": return "`fsmvp config` shows which account is used.";
    case "stopping": return "`fsmvp run` starts it again.";
    case "no_such_item": return "It was removed meanwhile.";
    default: return "";
  }
}
