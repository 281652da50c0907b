import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, createContext, useContext, useEffect } from "react";
import { ApiError } from "../../api/http";
import { type Session, readSession } from "../../api/session";
import { ErrorState } from "../../ui/states";

const SessionContext = createContext<Session | undefined>(undefined);

/** Who is signed in; only below `SignedIn`. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("useSession outside of SignedIn");
  return session;
}

/** Whether the one who is signed in may do this. The server decides; pages leave out what it would refuse. */
export function useMay(permission: Session["permissions"][number]): boolean {
  return useSession().permissions.includes(permission);
}

/** Shows its children to who is signed in, and sends others to the sign-in page and back. */
export function SignedIn({ children }: { children: ReactNode }) {
  const { data, error, refetch } = useQuery({ queryKey: ["session"], queryFn: readSession, staleTime: 60_000 });
  useSignOutWhenRefused();
  const isSignedOut = error instanceof ApiError && error.isSignedOut;
  useEffect(() => {
    if (isSignedOut) goToSignIn();
  }, [isSignedOut]);
  if (data) return <SessionContext value={data}>{children}</SessionContext>;
  if (error && !isSignedOut) return <ErrorState error={error} retry={() => void refetch()} />;
  return null;
}

/** A session may end while one reads: whichever query is refused first leads to the sign-in page. */
function useSignOutWhenRefused() {
  const queries = useQueryClient();
  useEffect(
    () =>
      queries.getQueryCache().subscribe((event) => {
        if (event.type !== "updated" || event.action.type !== "error") return;
        const { error } = event.action;
        if (error instanceof ApiError && error.isSignedOut) goToSignIn();
      }),
    [queries],
  );
}

export function goToSignIn() {
  const back = window.location.pathname + window.location.search;
  window.location.assign(`/login?next=${encodeURIComponent(back)}`);
}
