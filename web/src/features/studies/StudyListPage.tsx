import { Inbox, SearchX, Send } from "lucide-react";
import { useCallback, useEffect, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import type { Study } from "../../api/dicomweb";
import { SkeletonRows } from "../../ui/Grid";
import { focusAndSelect, useKeys } from "../../ui/keys";
import { PageFooter } from "../../ui/page";
import { EmptyState, ErrorState, FetchingLine, useTitle } from "../../ui/states";
import { useChoice } from "../../ui/useChoice";
import { SendDialog } from "../forwarding/SendDialog";
import { useMay, useSession } from "../session/session";
import { useUpload } from "../upload/UploadProvider";
import { FilterBar } from "./FilterBar";
import { StudyGrid } from "./StudyGrid";
import { type Filters, NO_FILTERS, isNarrowed, readFilters, writeFilters } from "./filters";
import { useStudies } from "./useStudies";

const TYPING_PAUSE_MS = 250;
const KEYS: [string, string][] = [
  ["j k", "move"],
  ["Enter", "study"],
  ["o", "viewer"],
  ["/", "search"],
];

export function StudyListPage() {
  const { filters, settled, change } = useFilters();
  const list = useStudies(settled);
  const searchBox = useRef<HTMLInputElement>(null);
  const studies = list.data ?? [];
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = list;
  const loadMore = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  useTitle("Studies");
  const maySend = useMay("administer");
  const { current, setCurrent, ticked, setTicked, chosen } = useChoice(studies, (study) => study.uid);
  const [sending, setSending] = useState<Study[]>();
  const send = () => setSending(chosen);
  useKeys({ "/": () => focusAndSelect(searchBox.current), ...(maySend && { s: () => chosen.length > 0 && send() }) });

  const placeholder = list.error ? (
    <ErrorState error={list.error} retry={() => void list.refetch()} />
  ) : list.isPending ? (
    <SkeletonRows label="Loading studies" />
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
      >
        {maySend && (
          <button type="button" className="button" disabled={chosen.length === 0} onClick={send}>
            <Send className="size-4" aria-hidden />
            Send {chosen.length > 1 ? chosen.length.toLocaleString("en") : ""} to…
          </button>
        )}
      </FilterBar>
      <FetchingLine active={list.isFetching && (list.isPlaceholderData || list.isPending || isFetchingNextPage)} />
      <div className="flex min-h-0 flex-1 flex-col border-t border-line">
        <StudyGrid
          studies={studies}
          filters={filters}
          change={change}
          current={current}
          setCurrent={setCurrent}
          {...(maySend && { ticked, setTicked })}
          loadMore={hasNextPage && !isFetchingNextPage ? loadMore : undefined}
          placeholder={placeholder}
        />
      </div>
      <PageFooter
        error={list.error}
        status={list.data ? `${studies.length.toLocaleString("en")}${hasNextPage ? "+" : ""} studies` : ""}
        keys={maySend ? [...KEYS, ["Space", "tick"], ["s", "send"]] : KEYS}
      />
      {sending && (
        <SendDialog
          studies={sending}
          close={() => {
            setSending(undefined);
            setTicked(new Set());
          }}
        />
      )}
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
