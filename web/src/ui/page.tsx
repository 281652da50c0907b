/** The frame of a page: what stands above and below its table. */
import type { ReactNode } from "react";
import { NavLink } from "react-router";
import { messageOf } from "./states";

/** The line above a table: what narrows it on the left, what can be done on the right. */
export function PageBar({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="flex min-h-13 flex-none flex-wrap items-center gap-x-3 gap-y-2 px-4 py-2">
      <h1 className="mr-2 text-base font-semibold tracking-tight max-xl:sr-only">{title}</h1>
      {children}
    </div>
  );
}

export function Spacer() {
  return <div className="flex-1" />;
}

export function Tabs({ label, tabs }: { label: string; tabs: [path: string, title: string][] }) {
  return (
    <nav aria-label={label} className="flex items-center gap-1">
      {tabs.map(([path, title]) => (
        <NavLink
          key={path}
          to={path}
          end
          className="rounded-md px-2.5 py-1.5 font-medium text-dim hover:text-ink aria-[current=page]:bg-raised aria-[current=page]:text-ink"
        >
          {title}
        </NavLink>
      ))}
    </nav>
  );
}

/** The line below: how much there is, and which keys do what. */
interface FooterProps {
  status: string;
  keys: [keys: string, does: string][];
  /** Why what is shown could not be asked for anew. */
  error?: Error | null;
}

export function PageFooter({ status, keys, error }: FooterProps) {
  return (
    <footer className="flex h-8 flex-none items-center gap-4 border-t border-line bg-panel px-4 text-[0.92em] whitespace-nowrap text-faint">
      <span role="status" className="tabular-nums">
        {status}
        {status !== "" && error && <span className="ml-3 text-danger">Not up to date: {messageOf(error)}</span>}
      </span>
      <span className="flex-1" />
      <span className="flex items-center gap-3 overflow-hidden">
        {keys.map(([names, does]) => (
          <span key={names}>
            {names.split(" ").map((name) => (
              <kbd key={name} className="mr-1">
                {name}
              </kbd>
            ))}
            {does}
          </span>
        ))}
      </span>
    </footer>
  );
}

export type Tone = "good" | "bad" | "warning" | "busy" | "calm";

const TONES: Record<Tone, string> = {
  good: "text-good",
  bad: "text-danger",
  warning: "text-warning",
  busy: "text-accent",
  calm: "text-dim",
};

/** A state in a word, with a dot of its colour. */
export function State({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <span className={`inline-flex items-center gap-1.5 align-top ${TONES[tone]}`}>
      <span aria-hidden className="size-1.5 flex-none rounded-full bg-current" />
      {children}
    </span>
  );
}

/** How much of something is done. */
export function Progress({ label, done, of }: { label: string; done: number; of: number }) {
  const percent = of > 0 ? Math.min(100, Math.floor((done / of) * 100)) : 0;
  return (
    <span className="flex items-center gap-2 tabular-nums">
      <span role="progressbar" aria-label={label} aria-valuenow={percent} className="h-1.5 min-w-16 flex-1 overflow-hidden rounded-full bg-raised">
        <span className="block h-full rounded-full bg-accent transition-[width] duration-300" style={{ width: `${percent}%` }} />
      </span>
      <span className="text-dim">
        {done.toLocaleString("en")} of {of.toLocaleString("en")}
      </span>
    </span>
  );
}
