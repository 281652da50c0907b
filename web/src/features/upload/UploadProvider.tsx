import { useQueryClient } from "@tanstack/react-query";
import { FolderUp } from "lucide-react";
import { type ReactNode, createContext, useContext, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { UploadPanel } from "./UploadPanel";
import { type Dropped, droppedItems, walk } from "./collect";
import { UploadQueue } from "./queue";

interface Upload {
  openPicker: () => void;
  openFolderPicker: () => void;
}

const UploadContext = createContext<Upload | undefined>(undefined);
const LIST_REFRESH_MS = 2_000;

export function useUpload(): Upload {
  const upload = useContext(UploadContext);
  if (!upload) throw new Error("useUpload outside of UploadProvider");
  return upload;
}

/** Takes files dropped anywhere on the page, and shows how far they have got. */
export function UploadProvider({ children }: { children: ReactNode }) {
  const [queue] = useState(() => new UploadQueue());
  const status = useSyncExternalStore(queue.subscribe, queue.getStatus);
  const filePicker = useRef<HTMLInputElement>(null);
  const folderPicker = useRef<HTMLInputElement>(null);
  const isDragging = useDrop((items) => void queue.add(walk(items)));
  useLeaveGuard(status.isActive);
  useListRefresh(status.counts.stored, status.isActive);

  const upload = {
    openPicker: () => filePicker.current?.click(),
    openFolderPicker: () => folderPicker.current?.click(),
  };
  const picker = (reference: typeof filePicker, label: string, ofFolder: boolean) => (
    <input
      ref={reference}
      type="file"
      multiple
      hidden
      aria-label={label}
      {...(ofFolder ? { webkitdirectory: "" } : {})}
      onChange={(event) => {
        void queue.add([...(event.target.files ?? [])]);
        event.target.value = "";
      }}
    />
  );
  return (
    <UploadContext value={upload}>
      {children}
      {picker(filePicker, "Files to upload", false)}
      {picker(folderPicker, "Folder to upload", true)}
      {status.files.length > 0 && (
        <UploadPanel status={status} cancel={() => queue.cancel()} close={() => queue.clear()} addFolder={upload.openFolderPicker} />
      )}
      {isDragging && (
        <div className="pointer-events-none fixed inset-3 z-50 grid place-items-center rounded-2xl border-2 border-dashed border-accent bg-ground/85">
          <div className="flex flex-col items-center gap-3 text-lg font-semibold">
            <FolderUp className="size-10 text-accent" aria-hidden />
            Drop DICOM files or folders to upload them
          </div>
        </div>
      )}
    </UploadContext>
  );
}

function useDrop(take: (items: Dropped[]) => void): boolean {
  const [isDragging, setDragging] = useState(false);
  const latest = useRef(take);
  useEffect(() => {
    latest.current = take;
  });
  useEffect(() => {
    // Enter and leave come for every element crossed: the drag has left the window when they cancel out.
    let depth = 0;
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const move = (change: number) => (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth += change;
      setDragging(depth > 0);
    };
    const drop = (event: DragEvent) => {
      if (!event.dataTransfer || !hasFiles(event)) return;
      event.preventDefault();
      depth = 0;
      setDragging(false);
      latest.current(droppedItems(event.dataTransfer));
    };
    const stop = new AbortController();
    window.addEventListener("dragenter", move(1), stop);
    window.addEventListener("dragleave", move(-1), stop);
    window.addEventListener("dragover", move(0), stop);
    window.addEventListener("drop", drop, stop);
    return () => stop.abort();
  }, []);
  return isDragging;
}

function useLeaveGuard(isActive: boolean) {
  useEffect(() => {
    if (!isActive) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [isActive]);
}

/** What has been stored appears in the lists while the rest is still on its way. */
function useListRefresh(storedCount: number, isActive: boolean) {
  const queries = useQueryClient();
  const last = useRef(0);
  useEffect(() => {
    if (storedCount === 0 || (isActive && Date.now() - last.current < LIST_REFRESH_MS)) return;
    last.current = Date.now();
    for (const key of ["studies", "study", "series", "priors"]) void queries.invalidateQueries({ queryKey: [key] });
  }, [queries, storedCount, isActive]);
}
