/** Requests to the console API, typed by its description: see `npm run api`. */
import { request } from "./http";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

type Method = "get" | "post" | "put" | "patch" | "delete";
type PathsWith<M extends Method> = { [P in keyof paths]: paths[P][M] extends object ? P : never }[keyof paths];
type Ok<R> = R[keyof R & (200 | 201 | 202 | 204)];
type Answer<O> = O extends { responses: infer R }
  ? Ok<R> extends { content: { "application/json": infer T } }
    ? T
    : undefined
  : never;
type Part<O, Name extends string> = O extends { parameters: infer P } ? (Name extends keyof P ? NonNullable<P[Name]> : never) : never;
type Body<O> = O extends { requestBody: { content: { "application/json": infer T } } } ? T : never;

interface Options<O> {
  path?: Part<O, "path">;
  query?: Part<O, "query">;
  body?: Body<O>;
  signal?: AbortSignal;
}

/** Call one operation of the console API and return its answer. */
export async function call<M extends Method, P extends PathsWith<M>>(
  method: M,
  path: P,
  options: Options<paths[P][M]> = {},
): Promise<Answer<paths[P][M]>> {
  const init: RequestInit = { method: method.toUpperCase() };
  if (options.signal) init.signal = options.signal;
  if (options.body !== undefined) {
    init.headers = { "Content-Type": "application/json" };
    init.body = JSON.stringify(options.body);
  }
  const response = await request(address(path, options.path ?? {}, options.query ?? {}), init);
  return (response.status === 204 ? undefined : await response.json()) as Answer<paths[P][M]>;
}

/** The address of a path template with its values; lists are repeated, what is undefined is left out. */
export function address(template: string, values: Record<string, unknown>, query: Record<string, unknown>): string {
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values[name])));
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== null) asked.append(name, String(each));
    }
  }
  return `/api${path}${asked.size > 0 ? `?${asked}` : ""}`;
}
