/** Where to go after signing in: a path of this site, never another one. */
export function safeNext(asked: string | null): string {
  if (!asked || !/^\/(?![/\\])[^\s\\]*$/.test(asked) || asked.startsWith("/login")) return "/";
  return asked;
}
