// The recipient, the last ones offered, and Stage.

import {ask} from "./api.js";
import {$, make, setWords} from "./dom.js";
import {chosenOutput} from "./outputs.js";
import {announce} from "./say.js";
import {advice, plain} from "./words.js";

const offered = 5;

/** `isStaged(fileId, recipient)` says what stands already; `onStaged(item, stoodBefore)` is called with the item that
 * stands now. */
export function startStage({isStaged, onStaged}) {
  let recipients = [];
  let isStaging = false;

  $("stage").addEventListener("submit", event => {
    event.preventDefault();
    stage();
  });

  async function stage() {
    if (isStaging) return;
    const output = chosenOutput();
    const recipient = $("recipient").value.trim();
    if (!output) return refuse("Choose a job first: the list is above.", $("search"));
    if (!recipient) return refuse("Say who the file is for: a name or an address.", $("recipient"));
    refuse("");
    setStaging(true);
    // Asked now: the event of a new item may be here before the answer is.
    const stoodBefore = isStaged(output.fileId, recipient);
    try {
      const item = await ask("POST", "/staged", {body: {file: output.fileId, recipient}});
      offer([item.recipient, ...recipients]);
      $("recipient").value = "";
      onStaged(item, stoodBefore);
    } catch (refusal) {
      refuse(`${refusal.message} ${advice(refusal)}`.trim(), $("stage-button"));
    } finally {
      setStaging(false);
    }
  }

  function setStaging(now) {
    isStaging = now;
    $("stage-button").setAttribute("aria-disabled", String(now));
  }

  function refuse(words, focus) {
    const isForField = focus === $("recipient");
    setWords($("stage-trouble"), words);
    $("stage-trouble").hidden = !words;
    if (isForField) $("recipient").setAttribute("aria-invalid", "true");
    else $("recipient").removeAttribute("aria-invalid");
    if (words) announce(plain(words), "assertive");
    focus?.focus();
  }

  $("recipient").addEventListener("input", () => $("recipient").value.trim() && refuse(""));

  // Buttons and no datalist: a list would make the field a combo box, and is hidden until one types.
  function offer(names) {
    recipients = [...new Set(names)];
    const shown = recipients.slice(0, offered);
    $("last-recipients").hidden = !shown.length;
    $("last-recipients").replaceChildren(make("span", {class: "soft small", "aria-hidden": "true"}, "Last:"), ...shown.map(chip));
  }

  function chip(recipient) {
    const button = make("button", {type: "button", class: "chip"}, make("bdi", {dir: "auto"}, recipient));
    button.addEventListener("click", () => {
      $("recipient").value = recipient;
      refuse("");
      $("stage-button").focus();
    });
    return button;
  }

  // A failure only means that no recipients are offered.
  async function load() {
    try {
      offer([...recipients, ...(await ask("GET", "/recipients"))]);
    } catch {
      return;
    }
  }

  load();
}
