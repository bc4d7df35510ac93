// What the viewer asks of the service. Whatever is refused or fails becomes an error in the reader's language.

import { say } from "../words.js";

/** A good answer; raises an error with the sentence that a person may read, or AbortError. */
export async function asked(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(say("The service could not be reached.")); // a browser's own words are in its language, and tell less
  }
  if (!answer.ok) throw new Error(await said(answer));
  return answer;
}

/** What a problem document (RFC 9457) says, in the language that was asked for. */
async function said(answer) {
  const problem = await answer.json().catch(() => ({}));
  return problem.detail ?? problem.title ?? say("The service answered {status}.", { status: answer.status });
}
