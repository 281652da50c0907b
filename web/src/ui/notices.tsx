import { CircleAlert, CircleCheck, X } from "lucide-react";
import { type ReactNode, createContext, useCallback, useContext, useRef, useState } from "react";
import { messageOf } from "./states";

interface Notice {
  id: number;
  text: string;
  isError: boolean;
}

interface Notices {
  tell: (text: string) => void;
  /** Do something; tell what came of it if there is something to tell, and always when it failed. */
  attempt: <T>(act: () => Promise<T>, told?: (result: T) => string) => Promise<T | undefined>;
}

const NoticesContext = createContext<Notices | undefined>(undefined);
const SHOWN_MS = 6_000;
const MOST = 4;

export function useNotices(): Notices {
  const notices = useContext(NoticesContext);
  if (!notices) throw new Error("useNotices outside of NoticesProvider");
  return notices;
}

/** Says at the bottom of the page what has happened. Failures stay until they are closed. */
export function NoticesProvider({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<Notice[]>([]);
  const next = useRef(0);
  const remove = useCallback((id: number) => setShown((all) => all.filter((each) => each.id !== id)), []);
  const add = useCallback(
    (text: string, isError: boolean) => {
      const id = (next.current += 1);
      setShown((all) => [...all.slice(1 - MOST), { id, text, isError }]);
      if (!isError) setTimeout(() => remove(id), SHOWN_MS);
    },
    [remove],
  );
  const [notices] = useState<Notices>(() => ({
    tell: (text) => add(text, false),
    attempt: async (act, told) => {
      try {
        const result = await act();
        const text = told?.(result) ?? "";
        if (text !== "") add(text, false);
        return result;
      } catch (failure) {
        add(messageOf(failure), true);
        return undefined;
      }
    },
  }));
  return (
    <NoticesContext value={notices}>
      {children}
      <ul aria-live="polite" aria-label="Notices" className="fixed bottom-11 left-4 z-50 flex flex-col gap-2">
        {shown.map(({ id, text, isError }) => (
          <li key={id} className="flex max-w-[34rem] items-center gap-2.5 rounded-lg border border-line bg-raised py-1.5 pr-1.5 pl-3 shadow-xl shadow-black/50">
            {isError ? (
              <CircleAlert className="size-4 flex-none text-danger" aria-hidden />
            ) : (
              <CircleCheck className="size-4 flex-none text-good" aria-hidden />
            )}
            <span className="flex-1">{text}</span>
            <button type="button" className="button button-quiet h-7! px-1.5!" aria-label="Close this notice" onClick={() => remove(id)}>
              <X className="size-3.5" aria-hidden />
            </button>
          </li>
        ))}
      </ul>
    </NoticesContext>
  );
}
