// SMART App Launch 2, standalone: discovery, authorization code with PKCE (S256), revocation.
// The token lives in the object that `finish` returns, and nowhere else.

const WAITING = "portal.request"; // what must survive the way to the hospital's sign-in page and back: no token

/** What a person can understand; `text` goes on the page as it is. */
export class Problem extends Error {}

/** Where the hospital's server signs people in. */
export async function discover(fhir) {
  const answer = await reach(`${fhir}/.well-known/smart-configuration`, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Problem("The hospital's server does not offer to sign in. Please try again later.");
  const said = await answer.json();
  if (!said.code_challenge_methods_supported?.includes("S256")) {
    throw new Problem("The hospital's server does not offer a safe way to sign in, so this page does not try.");
  }
  return said;
}

/** Leave for the sign-in page. */
export async function begin(settings) {
  const server = await discover(settings.fhir);
  const verifier = random(48);
  const state = random(24);
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  sessionStorage.setItem(WAITING, JSON.stringify({ verifier, state }));
  const url = new URL(server.authorization_endpoint);
  const asked = {
    response_type: "code",
    client_id: settings.client_id,
    redirect_uri: here(),
    scope: settings.scope,
    state,
    aud: settings.fhir,
    code_challenge: base64url(new Uint8Array(hash)),
    code_challenge_method: "S256",
    prompt: "login", // whoever comes next to a shared computer is asked who they are
  };
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
  location.assign(url);
}

/** Back from there: the session, or null where nobody comes from a sign-in page. */
export async function finish(settings) {
  const given = new URLSearchParams(location.search);
  const waiting = JSON.parse(sessionStorage.getItem(WAITING) ?? "null");
  sessionStorage.removeItem(WAITING);
  if (!given.has("code") && !given.has("error")) return null;
  history.replaceState(null, "", here()); // the code leaves the address bar and the history
  if (!waiting || waiting.state !== given.get("state")) {
    throw new Problem("This sign-in was not started here, or is too old. Please sign in again.");
  }
  if (given.get("error") === "access_denied") {
    throw new Problem("You did not allow this page to see your record. Nothing was read.");
  }
  if (given.has("error")) throw new Problem("The hospital's server did not let you sign in. Please try again.");
  const server = await discover(settings.fhir);
  const answer = await post(server.token_endpoint, {
    grant_type: "authorization_code",
    code: given.get("code"),
    redirect_uri: here(),
    client_id: settings.client_id,
    code_verifier: waiting.verifier,
  });
  if (!answer.ok) throw new Problem("Signing in took too long, or was done twice. Please sign in again.");
  const said = await answer.json();
  if (!said.patient) throw new Problem("This account does not belong to a patient.");
  const ends = Date.now() + said.expires_in * 1000;
  return { token: said.access_token, patient: said.patient, scopes: said.scope.split(" "), ends, server };
}

/** End the token at the hospital's server; false where the server could not be told. */
export async function revoke(settings, session) {
  try {
    const form = { token: session.token, client_id: settings.client_id };
    return (await post(session.server.revocation_endpoint, form)).ok;
  } catch (error) {
    if (error instanceof Problem) return false;
    throw error;
  }
}

/** Whether the person allowed reading a type, whole or in part. */
export function allowed(session, type) {
  return session.scopes.some((scope) => scope.startsWith(`patient/${type}.`) || scope.startsWith("patient/*."));
}

/** `fetch` whose failures people can read. */
export async function reach(url, options = {}) {
  try {
    return await fetch(url, { signal: AbortSignal.timeout(20_000), credentials: "omit", ...options });
  } catch (error) {
    throw new Problem("The hospital's server cannot be reached. Please try again in a moment.", { cause: error });
  }
}

function post(url, form) {
  return reach(url, { method: "POST", body: new URLSearchParams(form) });
}

function here() {
  return `${location.origin}${location.pathname}`;
}

function random(bytes) {
  return base64url(crypto.getRandomValues(new Uint8Array(bytes)));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
