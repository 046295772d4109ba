// Requests of a customer who has signed in: the cookie goes with them, and with what changes something the CSRF token.

export const signIn = () => location.replace("/trade/sign-in");

// An answer that is not what was hoped for. status 0: there was none, so it is not known what became of the request.
export class Refused extends Error {
  constructor(status, body) {
    super(body.message ?? `status ${status}`);
    this.status = status;
    this.reason = body.reject_reason ?? "";
  }
}

let csrf = "";

export async function loadSession() {
  const session = await ask("GET", "/trade/session");
  csrf = session.csrf;
  return session;
}

// isPoll: the page asks by itself, which does not keep a session from being idle.
export async function ask(method, path, { body = null, isPoll = false } = {}) {
  const headers = { ...(isPoll ? { "X-Poll": "1" } : {}), ...(method === "GET" ? {} : { "X-CSRF-Token": csrf }), ...(body === null ? {} : { "Content-Type": "application/json" }) };
  let response = null;
  try {
    response = await fetch(path, { method, headers, ...(body === null ? {} : { body: JSON.stringify(body) }) });
  } catch {
    throw new Refused(0, { message: "the exchange cannot be reached" });
  }
  if (response.status === 401) signIn();
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, told);
  return told;
}
