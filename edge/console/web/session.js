// Who has signed in: the name and the way out in the head of a page, and what requests need which change something. A module of the pages' scripts.

export function signIn() {
  location.replace(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
}

const session = load();
export const signedIn = session;

// POST, PUT, PATCH or DELETE, with what to send as JSON.
export async function change(method, address, value) {
  const body = value === undefined ? undefined : JSON.stringify(value);
  const headers = { "X-CSRF-Token": (await session).csrf, "Content-Type": "application/json" };
  const options = { method, headers, body };
  const response = await fetch(address, options);
  if (response.status === 401) signIn();
  return response;
}

async function load() {
  const response = await fetch("/session", { headers: { "X-Poll": "1" } });
  if (response.status === 401) signIn();
  if (!response.ok) return { csrf: "" };
  const found = await response.json();
  document.getElementById("person").textContent = `${found.name} (${found.roles.join(", ")})`;
  document.getElementById("session").hidden = false;
  for (const link of document.querySelectorAll("nav [data-roles]")) {
    link.hidden = !link.dataset.roles.split(" ").some((role) => found.roles.includes(role));
  }
  return found;
}

document.getElementById("sign-out").addEventListener("click", async () => {
  if ((await change("POST", "/sign-out")).ok) location.replace("/sign-in");
});
