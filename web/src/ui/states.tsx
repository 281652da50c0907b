import { CircleAlert, Search } from "lucide-react";
import { type ReactNode, type RefObject, useEffect } from "react";
import { ApiError } from "../api/http";

export function EmptyState({ icon, title, children }: { icon: ReactNode; title: string; children?: ReactNode }) {
  return (
    <div className="flex flex-1 flex-col items-center justify-center gap-3 p-10 text-center">
      <div className="grid size-14 place-items-center rounded-2xl border border-line bg-panel text-dim">{icon}</div>
      <h2 className="text-base font-semibold">{title}</h2>
      <div className="flex max-w-xl flex-col items-center gap-3 text-dim">{children}</div>
    </div>
  );
}

/** What is told of a failure: what the server said, or that the page itself is at fault. */
export function messageOf(failure: unknown): string {
  if (!(failure instanceof ApiError)) return "Something went wrong in the page itself.";
  // Messages may begin with the name of a field: `patient_id is missing`.
  const words = failure.message.replace(/^\w+/, (first) => first.replaceAll("_", " "));
  return words.replace(/^\p{Ll}/u, (first) => first.toUpperCase());
}

export function ErrorState({ error, retry }: { error: Error; retry?: () => void }) {
  return (
    <div role="alert" className="flex flex-1 flex-col items-center justify-center gap-3 p-10 text-center">
      <CircleAlert className="size-8 text-danger" aria-hidden />
      <h2 className="text-base font-semibold">This could not be loaded</h2>
      <p className="max-w-xl text-dim">{messageOf(error)}</p>
      {retry && (
        <button type="button" className="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** A thin line that moves while something is fetched; it takes no room, so nothing jumps. */
export function FetchingLine({ active }: { active: boolean }) {
  return (
    <div className="relative h-0" aria-hidden>
      {active && (
        <div className="waiting absolute inset-x-0 top-0 z-10 h-0.5 overflow-hidden">
          <div className="progress-slide h-full w-1/4 bg-accent" />
        </div>
      )}
    </div>
  );
}

export function Modality({ code }: { code: string }) {
  return (
    <span className="inline-block rounded border border-[#2f5160] bg-[#11262f] px-1.5 text-[0.85em] leading-[1.45] font-semibold text-[#8fd3ea]">
      {code}
    </span>
  );
}

/** What the browser's tab is called. */
export function useTitle(title: string) {
  useEffect(() => {
    document.title = `${title} · Hilum`;
  }, [title]);
}

interface SearchProps {
  reference: RefObject<HTMLInputElement | null>;
  label: string;
  placeholder?: string;
  value: string;
  change: (value: string) => void;
  /** Where the keyboard goes by Enter, the arrow and Escape. */
  gridId: string;
  className?: string;
}

export function SearchBox({ reference, label, placeholder = "Search", value, change, gridId, className = "w-[16rem]" }: SearchProps) {
  const leave = () => document.getElementById(gridId)?.focus();
  return (
    <div className={`relative ${className}`}>
      <Search className="pointer-events-none absolute top-2 left-2.5 size-4 text-faint" aria-hidden />
      <input
        ref={reference}
        type="search"
        aria-label={label}
        placeholder={placeholder}
        className="field w-full pl-8!"
        value={value}
        onChange={(event) => change(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" || event.key === "ArrowDown") leave();
          if (event.key === "Escape") {
            change("");
            leave();
          }
        }}
      />
    </div>
  );
}
