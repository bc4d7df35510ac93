// What the viewer asks of the service. Whatever is refused or fails becomes an error in the reader's language.

import { isSignedOut } from "../signed_out.js";
import { say } from "../words.js";

/** A good answer; raises an error with the sentence that a person may read, and the `status` where it was refused, or AbortError. */
export async function asked(address, options = {}) {
  const answer = await reached(() => fetch(address, options));
  if (isSignedOut(answer)) throw new Error(say("The session has ended. Sign in again in another tab."));
  if (!answer.ok) throw Object.assign(new Error(await said(answer)), { status: answer.status });
  return answer;
}

/** What a good answer holds; errors as above. */
export async function askedJson(address, options = {}) {
  const answer = await asked(address, options);
  return reached(() => answer.json());
}

async function reached(deed) {
  try {
    return await deed();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(say("The service could not be reached.")); // a browser's own words are in its language, and tell less
  }
}

/** What a problem document (RFC 9457) says, in the language that was asked for. */
async function said(answer) {
  const problem = await answer.json().catch(() => ({}));
  return problem.detail ?? problem.title ?? say("The service answered {status}.", { status: answer.status });
}
