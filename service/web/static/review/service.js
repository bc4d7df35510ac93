// What the panel asks of the service. Whatever is refused becomes an error with the sentence that the service gave.

import { isSignedOut } from "../signed_out.js";
import { say } from "../words.js";

const OTHER_SESSION = "urn:sonomyo:problem:csrf";

/** An answer that is no answer: RFC 9457's fields as they came. */
export class Refused extends Error {
  constructor(status, problem) {
    const wrong = (problem.errors ?? []).map(({ location, message }) => `${location.slice(1).join(".")}: ${message}`);
    super([problem.detail ?? say("The service did not answer as expected."), ...wrong].join(" "));
    this.status = status;
    this.problem = problem;
  }
}

export class Service {
  #csrf;
  #principal;

  /** The token of the session that the page was made for, and whose that session is, by the name of the audit trail. */
  constructor(csrf, principal) {
    this.#csrf = csrf;
    this.#principal = principal;
  }

  /** The panel of a study as the service renders it, which has escaped all of it. */
  async page(source, version) {
    const answer = await this.#fetch(`${source}?version=${version}`, { headers: { Accept: "text/html" } });
    return new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("review-panel");
  }

  async report(id) {
    return (await this.#fetch(address(id), { headers: { Accept: "application/json" } })).json();
  }

  async download(id, kind) {
    return (await this.#fetch(address(id), { headers: { Accept: kind } })).blob();
  }

  /** What a report would say with changes; nothing is stored. */
  async preview(id, changes) {
    return this.#send("POST", `${address(id)}/preview`, changes);
  }

  async amend(id, changes) {
    return this.#send("PATCH", address(id), changes, id);
  }

  async sign(id) {
    return this.#send("POST", `${address(id)}/sign`, undefined, id);
  }

  async cancel(id, why) {
    return this.#send("POST", `${address(id)}/cancel`, { why }, id);
  }

  async #send(method, path, body, seen) {
    try {
      return await this.#change(method, path, body, seen);
    } catch (error) {
      if (error.problem?.type !== OTHER_SESSION) throw error;
      await this.#goOn();
      return this.#change(method, path, body, seen);
    }
  }

  /** With the session that there is now, of somebody who signed in again; what one person entered is not saved as another's. */
  async #goOn() {
    const me = await (await this.#fetch("/api/v1/me", { headers: { Accept: "application/json" } })).json();
    if (me.name !== this.#principal) {
      throw new Refused(403, {
        detail: say("Somebody else has signed in with this browser. Sign in as yourself in another tab, and save again here; what you entered is still here."),
      });
    }
    this.#csrf = me.csrf_token;
  }

  async #change(method, path, body, seen) {
    const headers = { "Content-Type": "application/json", "X-CSRF-Token": this.#csrf };
    if (seen) headers["If-Match"] = `"${seen}"`;
    const answer = await this.#fetch(path, { method, headers, body: body && JSON.stringify(body) });
    return answer.json();
  }

  async #fetch(path, options) {
    let answer;
    const isChange = "method" in options;
    try {
      answer = await fetch(path, { credentials: "same-origin", ...options });
    } catch {
      const detail = isChange ? say("The service could not be reached. What you entered is still here; try again.") : say("The service could not be reached.");
      throw new Refused(0, { detail });
    }
    if (isSignedOut(answer)) {
      const detail = isChange
        ? say("The session has ended. Sign in again in another tab, and save again here; what you entered is still here.")
        : say("The session has ended. Sign in again in another tab.");
      throw new Refused(401, { detail });
    }
    if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
    return answer;
  }
}

function address(id) {
  return `/api/v1/reports/${encodeURIComponent(id)}`;
}
