// One request of the control API, and its refusals.

import {sentence} from "./words.js";

/** A failed request: `code` is the API's, or "unreachable" without an answer; `message` is a sentence. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The answer's content. `path` is what follows /api/v1; `signal` gives up (an AbortError). */
export async function ask(method, path, {body, signal} = {}) {
  const options = {method, signal, cache: "no-store", credentials: "same-origin"};
  if (body !== undefined) {
    options.headers = {"Content-Type": "application/json"};
    options.body = JSON.stringify(body);
  }
  let answer;
  let content = null;
  try {
    answer = await fetch(`/api/v1${path}`, options);
    const text = await answer.text();
    content = parsed(text);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, "unreachable", "FuseStream does not answer. If it was stopped, `fsmvp run` starts it again.");
  }
  if (answer.ok) return content;
  const error = content?.error;
  throw new Refusal(answer.status, error?.code ?? "failed", sentence(error?.message ?? `the answer was ${answer.status} without a reason`));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export const path = (...parts) => parts.map(part => `/${encodeURIComponent(part)}`).join("");
