// In place of the first two steps while there are no credentials: how to set them.

import {$, setText} from "./dom.js";
import {announce} from "./say.js";

/** `onSet` is called when they have come. */
export function showFirstRun(service, onSet) {
  const isMissing = service?.state === "missing";
  if (isMissing === !$("first-run").hidden) return;
  $("first-run").hidden = !isMissing;
  $("pick").hidden = isMissing;
  document.body.classList.toggle("without-credentials", isMissing);
  if (!isMissing) {
    announce("The credentials are set. Choose a job.");
    return onSet();
  }
  const file = service.configFile ?? "~/.fuse-stream-mvp/config.toml";
  const folder = file.slice(0, file.lastIndexOf("/")) || "/";
  setText($("first-run-make"), `mkdir -p ${quoted(folder)}\ntouch ${quoted(file)}\nchmod 600 ${quoted(file)}`);
  announce("No credentials are set yet. The page says how to set them.");
}

const quoted = path => (/^[\w@%+=:,./~-]+$/u.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);
