// The list of jobs: a search as one types, a page at a time.

import {ask} from "./api.js";
import {$, copyOf, setText, setWords} from "./dom.js";
import {advice, bytes, counted, number} from "./words.js";

const pageSize = 20;
const typingPause = 250;

/** `onChoose(job)` is called with the job that was chosen. */
export function startJobs(onChoose) {
  let start = 0;
  let total = 0;
  let asking = null;
  let typing = 0;
  let chosenID = null;

  async function load() {
    asking?.abort();
    const mine = (asking = new AbortController());
    const search = $("search").value.trim();
    $("jobs").setAttribute("aria-busy", "true");
    try {
      const query = new URLSearchParams({start, limit: pageSize});
      if (search) query.set("search", search);
      const page = await ask("GET", `/jobs?${query}`, {signal: mine.signal});
      if (mine.signal.aborted) return;
      // Back to the last page, as long as that is a step back: a total that is too large must not be asked about
      // without end.
      if (!page.jobs.length && page.total > 0 && lastStart(page.total) < start) {
        start = lastStart(page.total);
        return load();
      }
      show(page, search);
    } catch (refusal) {
      if (!mine.signal.aborted) showTrouble(refusal);
    } finally {
      if (asking === mine) $("jobs").setAttribute("aria-busy", "false");
    }
  }

  function show(page, search) {
    total = page.total;
    $("jobs-trouble").hidden = true;
    $("jobs").replaceChildren(...page.jobs.map(row));
    $("jobs").scrollTop = 0;
    const matching = search ? ` with “${search}” in the name` : "";
    if (page.jobs.length) {
      setText($("jobs-summary"), `Showing ${number(start + 1)}-${number(start + page.jobs.length)} of ${number(total)}${matching}`);
    } else {
      setText($("jobs-summary"), search ? `No finished job${matching}. Try fewer letters.` : "MediaHub has no finished job yet.");
    }
    showPages();
  }

  function row(job) {
    const {element, parts} = copyOf("job");
    setText(parts.title, job.name || job.id);
    setText(parts.about, about(job));
    parts.title.id = `job-${job.id}`;
    // Twenty buttons of one name: the title tells them apart.
    parts.choose.setAttribute("aria-describedby", parts.title.id);
    if (job.outputs.length) element.addEventListener("click", () => choose(job, element));
    else parts.choose.disabled = true;
    mark(element, job.id === chosenID);
    return element;
  }

  function choose(job, element) {
    chosenID = job.id;
    for (const other of $("jobs").children) mark(other, other === element);
    onChoose(job);
  }

  function mark(element, isChosen) {
    if (isChosen) element.setAttribute("aria-current", "true");
    else element.removeAttribute("aria-current");
  }

  function showTrouble(refusal) {
    setText($("jobs-summary"), "");
    $("jobs").replaceChildren();
    $("pages").hidden = true;
    $("jobs-trouble").hidden = false;
    const words = `${refusal.message} ${advice(refusal)}`.trim();
    setWords($("jobs-trouble").firstElementChild, words);
    setText($("jobs-summary"), `The jobs could not be listed.`);
  }

  // Pages

  const lastStart = count => Math.max(0, Math.floor((count - 1) / pageSize) * pageSize);
  const starts = {
    first: () => 0,
    previous: () => Math.max(0, start - pageSize),
    next: () => start + pageSize,
    last: () => lastStart(total),
  };

  function showPages() {
    $("pages").hidden = total <= pageSize;
    for (const button of $("pages").children) {
      const isBack = button.dataset.to === "first" || button.dataset.to === "previous";
      // Not `disabled`: that would take the focus away from a button that is used by keyboard.
      button.setAttribute("aria-disabled", String(isBack ? start === 0 : start >= lastStart(total)));
    }
  }

  $("pages").addEventListener("click", event => {
    const button = event.target.closest("button");
    if (!button || button.getAttribute("aria-disabled") === "true") return;
    start = starts[button.dataset.to]();
    load();
  });

  // Typing

  function searchNow() {
    clearTimeout(typing);
    start = 0;
    load();
  }

  $("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(searchNow, typingPause);
  });
  $("search").addEventListener("keydown", event => {
    if (event.key === "Enter") searchNow();
    else if (event.key === "Escape" && $("search").value) {
      $("search").value = "";
      searchNow();
      event.preventDefault();
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      $("jobs").querySelector("button:enabled")?.focus();
    }
  });
  // Up and down from row to row; Tab goes there too.
  $("jobs").addEventListener("keydown", event => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const buttons = [...$("jobs").querySelectorAll("button:enabled")];
    const next = buttons.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    event.preventDefault();
    (buttons[next] ?? (next < 0 ? $("search") : buttons.at(-1))).focus();
  });
  $("jobs-trouble").querySelector("button").addEventListener("click", async () => {
    await load();
    if ($("jobs-trouble").hidden) $("search").focus();
  });

  load();
  return {reload: load};
}

function about(job) {
  if (!job.outputs.length) return "Nothing that can be staged";
  if (job.outputs.length === 1) return bytes(job.outputs[0].size);
  return counted(job.outputs.length, "output");
}
