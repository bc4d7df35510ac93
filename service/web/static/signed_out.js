// How a script is told that its session is over.

/** Refused for want of a session, or led to the form where one begins. */
export function isSignedOut(answer) {
  return answer.status === 401 || (answer.redirected && new URL(answer.url).pathname.startsWith("/sign-in"));
}
