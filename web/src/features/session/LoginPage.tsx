import { type FormEvent, useState } from "react";
import { useSearchParams } from "react-router";
import { ApiError } from "../../api/http";
import { signIn } from "../../api/session";
import { safeNext } from "./next";

export function LoginPage() {
  const [address] = useSearchParams();
  const [error, setError] = useState("");
  const [isBusy, setBusy] = useState(false);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setError("");
    try {
      await signIn({ username: String(form.get("username")), password: String(form.get("password")) });
      // A whole new page: the viewer is not part of this app.
      window.location.assign(safeNext(address.get("next")));
    } catch (failure) {
      setError(explain(failure));
      setBusy(false);
    }
  };

  return (
    <main className="grid h-full place-items-center overflow-auto p-6">
      <div className="w-full max-w-[22rem]">
        <div className="mb-7 flex items-center gap-3">
          <img src="/favicon.svg" alt="" className="size-11" />
          <div>
            <h1 className="text-2xl leading-tight font-semibold tracking-tight">Hilum</h1>
            <p className="text-dim">Medical image archive</p>
          </div>
        </div>
        <form onSubmit={submit} className="flex flex-col gap-4 rounded-xl border border-line bg-panel p-6">
          <label className="flex flex-col gap-1.5 font-medium">
            User name
            <input className="field h-10!" name="username" autoComplete="username" autoCapitalize="none" required autoFocus />
          </label>
          <label className="flex flex-col gap-1.5 font-medium">
            Password
            <input className="field h-10!" name="password" type="password" autoComplete="current-password" required />
          </label>
          <p role="alert" className="min-h-[1.4em] text-danger">
            {error}
          </p>
          <button type="submit" className="button button-primary h-10!" disabled={isBusy}>
            {isBusy ? "Signing in…" : "Sign in"}
          </button>
        </form>
        <p className="mt-5 text-center text-[0.92em] text-faint">
          The viewer is not a cleared medical device.{" "}
          <a className="underline hover:text-ink" href="/third-party.txt">
            Notices
          </a>
        </p>
      </div>
    </main>
  );
}

function explain(failure: unknown): string {
  if (!(failure instanceof ApiError)) return "Something went wrong in the page itself.";
  if (failure.status === 401) return "Wrong user name or password.";
  if (failure.status === 429) return "Too many attempts. Wait a little, then try again.";
  return failure.message;
}
