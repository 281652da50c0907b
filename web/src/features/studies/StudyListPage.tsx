import { Inbox, SearchX } from "lucide-react";
import { useCallback, useEffect, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { EmptyState, ErrorState, FetchingLine } from "../../ui/states";
import { useSession } from "../session/session";
import { useUpload } from "../upload/UploadProvider";
import { FilterBar } from "./FilterBar";
import { StudyGrid } from "./StudyGrid";
import { type Filters, NO_FILTERS, isNarrowed, readFilters, writeFilters } from "./filters";
import { useStudies } from "./useStudies";

const TYPING_PAUSE_MS = 250;

export function StudyListPage() {
  const { filters, settled, change } = useFilters();
  const list = useStudies(settled);
  const searchBox = useRef<HTMLInputElement>(null);
  const studies = list.data ?? [];
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = list;
  const loadMore = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  useEffect(() => {
    document.title = "Studies · Hilum";
  }, []);
  useSlashKey(searchBox);

  const placeholder = list.error ? (
    <ErrorState error={list.error} retry={() => void list.refetch()} />
  ) : list.isPending ? (
    <SkeletonRows />
  ) : isNarrowed(settled) ? (
    <NothingFound clear={() => change(NO_FILTERS)} />
  ) : (
    <NothingHere />
  );

  return (
    <>
      <h1 className="sr-only">Studies</h1>
      <FilterBar
        filters={filters}
        change={change}
        searchBox={searchBox}
        leave={() => document.getElementById("study-grid")?.focus()}
      />
      <FetchingLine active={list.isFetching && (list.isPlaceholderData || list.isPending || isFetchingNextPage)} />
      <div className="flex min-h-0 flex-1 flex-col border-t border-line">
        <StudyGrid
          studies={studies}
          filters={filters}
          change={change}
          loadMore={hasNextPage && !isFetchingNextPage ? loadMore : undefined}
          placeholder={placeholder}
        />
      </div>
      <footer className="flex h-8 flex-none items-center gap-4 border-t border-line bg-panel px-4 text-[0.92em] text-faint">
        <span role="status" className="tabular-nums">
          {list.data ? `${studies.length.toLocaleString("en")}${hasNextPage ? "+" : ""} studies` : ""}
        </span>
        <span className="flex-1" />
        <span className="flex items-center gap-3">
          <span>
            <kbd>j</kbd> <kbd>k</kbd> move
          </span>
          <span>
            <kbd>Enter</kbd> study
          </span>
          <span>
            <kbd>o</kbd> viewer
          </span>
          <span>
            <kbd>/</kbd> search
          </span>
        </span>
      </footer>
    </>
  );
}

/** `filters` follow every key; `settled`, those in the address, follow when typing pauses. */
function useFilters() {
  const [address, setAddress] = useSearchParams();
  const settledKey = address.toString();
  const settled = readFilters(address);
  const [edited, edit] = useState<Filters>();
  const filters = edited ?? settled;
  useEffect(() => {
    // What was typed while the address was being changed must not be lost.
    edit((latest) => (latest && writeFilters(latest).toString() !== settledKey ? latest : undefined));
  }, [settledKey]);
  useEffect(() => {
    if (!edited) return;
    const timer = setTimeout(() => setAddress(writeFilters(edited), { replace: true }), TYPING_PAUSE_MS);
    return () => clearTimeout(timer);
  }, [edited, setAddress]);
  const change = (part: Partial<Filters>) => edit({ ...filters, ...part });
  return { filters, settled, change };
}

function useSlashKey(searchBox: React.RefObject<HTMLInputElement | null>) {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target instanceof HTMLInputElement) return;
      event.preventDefault();
      searchBox.current?.focus();
      searchBox.current?.select();
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [searchBox]);
}

function SkeletonRows() {
  return (
    <div className="waiting flex-1" role="status" aria-label="Loading studies">
      {Array.from({ length: 14 }, (_, row) => (
        <div key={row} className="flex h-[33px] items-center gap-8 border-b border-line/60 px-3" aria-hidden>
          <span className="h-2.5 w-56 rounded bg-raised" />
          <span className="h-2.5 w-24 rounded bg-raised" />
          <span className="h-2.5 w-32 rounded bg-raised" />
          <span className="h-2.5 w-72 rounded bg-raised" />
        </div>
      ))}
    </div>
  );
}

function NothingFound({ clear }: { clear: () => void }) {
  return (
    <EmptyState icon={<SearchX className="size-6" aria-hidden />} title="No study matches">
      <p>No study has all that is asked for. Loosen a filter, or start over.</p>
      <button type="button" className="button" onClick={clear}>
        Clear all filters
      </button>
    </EmptyState>
  );
}

function NothingHere() {
  const session = useSession();
  const { openPicker } = useUpload();
  return (
    <EmptyState icon={<Inbox className="size-6" aria-hidden />} title="No studies yet">
      <p>Drop DICOM files or folders anywhere on this page, or send them from a modality:</p>
      <p className="rounded-md border border-line bg-panel px-3 py-2 font-medium text-ink">
        C-STORE to {session.ae_title}@{window.location.hostname}:{session.dicom_port}
      </p>
      <button type="button" className="button button-primary" onClick={openPicker}>
        Choose files
      </button>
    </EmptyState>
  );
}
