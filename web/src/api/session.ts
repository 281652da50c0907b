import { request, requestJson } from "./http";
import type { components } from "./schema";

export type Session = components["schemas"]["Session"];
type Credentials = components["schemas"]["Credentials"];

export async function readSession(): Promise<Session> {
  const session = await requestJson<Session>("/api/session");
  if (!session) throw new Error("the session answer was empty");
  return session;
}

export async function signIn(credentials: Credentials): Promise<void> {
  await request("/api/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(credentials),
  });
}

export async function signOut(): Promise<void> {
  await request("/api/session", { method: "DELETE" });
}
