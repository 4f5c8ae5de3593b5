// The choice of one output of a job: its only one, or one of several.

import {$, make} from "./dom.js";
import {bytes} from "./words.js";

let chosen = null;

/** The output that would be staged now; null where nothing is chosen. */
export const chosenOutput = () => chosen;

/** Shows the job's outputs and puts the focus on what is to be done next. */
export function showOutputs(job) {
  chosen = job.outputs[0];
  if (job.outputs.length === 1) {
    $("chosen").replaceChildren(make("p", {class: "output-one"}, ...words(chosen)));
    $("recipient").focus();
    return;
  }
  const group = make("fieldset", {}, make("legend", {}, "Which output of ", name(job.name), "?"));
  job.outputs.forEach((output, index) => {
    const radio = make("input", {type: "radio", name: "output", value: output.fileId});
    radio.checked = index === 0;
    radio.addEventListener("change", () => (chosen = output));
    radio.addEventListener("keydown", event => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      $("recipient").focus();
    });
    group.append(make("label", {class: "output"}, radio, make("span", {}, ...words(output))));
  });
  $("chosen").replaceChildren(group);
  group.querySelector("input").focus();
}

const name = text => make("bdi", {dir: "auto"}, text);

function words(output) {
  const kind = [bytes(output.size), output.contentType].filter(Boolean).join(" · ");
  return [make("bdi", {dir: "auto", class: "title"}, output.name), make("span", {class: "soft small"}, kind)];
}
