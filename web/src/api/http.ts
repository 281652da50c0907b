/** Requests to Hilum, and what may go wrong with them. */

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code = "",
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** Nobody is signed in, or the session has ended. */
  get isSignedOut(): boolean {
    return this.status === 401;
  }

  get isRetryable(): boolean {
    return this.status === 0 || this.status === 429 || this.status === 503;
  }
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "Hilum does not answer. Check the network, then try again.");
  }
  if (!response.ok) throw problem(response.status, await response.text());
  return response;
}

export async function requestJson<T>(path: string, init?: RequestInit): Promise<T | undefined> {
  const response = await request(path, init);
  return response.status === 204 ? undefined : ((await response.json()) as T);
}

/** The error a response's status and body (problem details, RFC 9457, if it is ours) stand for. */
export function problem(status: number, body: string): ApiError {
  try {
    const told = JSON.parse(body) as { title?: string; detail?: string; code?: string };
    return new ApiError(status, told.detail ?? told.title ?? `The server answered ${status}.`, told.code);
  } catch {
    return new ApiError(status, `The server answered ${status}.`);
  }
}
