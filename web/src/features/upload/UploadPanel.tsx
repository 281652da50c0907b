import { useVirtualizer } from "@tanstack/react-virtual";
import { Check, CircleAlert, CircleSlash, FolderUp, LoaderCircle, X } from "lucide-react";
import { useMemo, useRef, useState } from "react";
import type { FileState, UploadFile, UploadStatus } from "./queue";

interface Props {
  status: UploadStatus;
  cancel: () => void;
  close: () => void;
  addFolder: () => void;
}

const ROW_HEIGHT = 40;
const PROBLEMS: ReadonlySet<FileState> = new Set(["refused", "failed"]);

export function UploadPanel({ status, cancel, close, addFolder }: Props) {
  const { counts, isActive } = status;
  const [onlyProblems, setOnlyProblems] = useState(false);
  const problems = counts.refused + counts.failed;
  const shown = useMemo(
    () => (onlyProblems ? status.files.filter((file) => PROBLEMS.has(file.state)) : status.files),
    [onlyProblems, status],
  );
  const percent = status.sizeBytes > 0 ? Math.floor((status.sentBytes / status.sizeBytes) * 100) : 0;
  return (
    <section
      aria-label="Upload"
      className="fixed right-4 bottom-12 z-40 flex max-h-[60vh] w-[27rem] flex-col overflow-hidden rounded-xl border border-line bg-panel shadow-2xl shadow-black/60"
    >
      <header className="flex items-center gap-2 py-2.5 pr-2 pl-4">
        <h2 className="flex-1 font-semibold">
          <span role="status">{isActive ? `Uploading ${(counts.stored + counts.refused + counts.failed + counts.skipped).toLocaleString("en")} of ${status.files.length.toLocaleString("en")}` : "Upload finished"}</span>
        </h2>
        <button type="button" className="button button-quiet px-2!" aria-label="Add a folder" title="Add a folder" onClick={addFolder}>
          <FolderUp className="size-4" aria-hidden />
        </button>
        {isActive ? (
          <button type="button" className="button" onClick={cancel}>
            Cancel
          </button>
        ) : (
          <button type="button" className="button button-quiet px-2!" aria-label="Close" onClick={close}>
            <X className="size-4" aria-hidden />
          </button>
        )}
      </header>
      {isActive && (
        <div className="px-4 pb-2">
          <div
            role="progressbar"
            aria-label="Uploaded"
            aria-valuenow={percent}
            className="h-1.5 overflow-hidden rounded-full bg-raised"
          >
            <div className="h-full rounded-full bg-accent transition-[width] duration-150" style={{ width: `${percent}%` }} />
          </div>
          <p className="mt-1 text-[0.92em] text-faint tabular-nums">
            {megabytes(status.sentBytes)} of {megabytes(status.sizeBytes)} MB
          </p>
        </div>
      )}
      <div className="flex items-center gap-4 border-y border-line px-4 py-1.5 text-[0.92em] tabular-nums">
        <span className="text-good">{counts.stored.toLocaleString("en")} stored</span>
        {counts.skipped > 0 && <span className="text-dim">{counts.skipped.toLocaleString("en")} left out</span>}
        {problems > 0 && (
          <button
            type="button"
            aria-pressed={onlyProblems}
            className="rounded px-1.5 text-danger underline aria-pressed:bg-[#3a1b1b]"
            onClick={() => setOnlyProblems(!onlyProblems)}
          >
            {problems.toLocaleString("en")} not stored
          </button>
        )}
      </div>
      <Files files={shown} />
    </section>
  );
}

function Files({ files }: { files: readonly UploadFile[] }) {
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: files.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 6,
  });
  return (
    <div ref={scroller} tabIndex={0} role="group" aria-label="Files" className="h-60 overflow-auto">
      <ul className="relative" style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map(({ index, start }) => {
          const file = files[index];
          return (
            file && (
              <li
                key={index}
                className="absolute inset-x-0 flex items-center gap-2.5 border-b border-line/50 px-4"
                style={{ top: start, height: ROW_HEIGHT }}
              >
                <StateIcon state={file.state} />
                <div className="min-w-0 flex-1 leading-tight">
                  <p className="truncate" title={file.name}>
                    {file.name}
                  </p>
                  {file.reason !== "" && (
                    <p className={`truncate text-[0.92em] ${PROBLEMS.has(file.state) ? "text-danger" : "text-faint"}`} title={file.reason}>
                      {file.reason}
                    </p>
                  )}
                </div>
                {file.state === "sending" && (
                  <span className="text-[0.92em] text-faint tabular-nums">
                    {file.size > 0 ? Math.floor((file.sent / file.size) * 100) : 0} %
                  </span>
                )}
              </li>
            )
          );
        })}
      </ul>
    </div>
  );
}

function StateIcon({ state }: { state: FileState }) {
  const title = { waiting: "Waiting", sending: "Sending", stored: "Stored", refused: "Refused", failed: "Failed", skipped: "Left out" }[state];
  const shared = { className: "size-4 flex-none", role: "img", "aria-label": title } as const;
  switch (state) {
    case "stored":
      return <Check {...shared} className={`${shared.className} text-good`} />;
    case "refused":
    case "failed":
      return <CircleAlert {...shared} className={`${shared.className} text-danger`} />;
    case "skipped":
      return <CircleSlash {...shared} className={`${shared.className} text-faint`} />;
    case "sending":
      return <LoaderCircle {...shared} className={`${shared.className} animate-spin text-accent motion-reduce:animate-none`} />;
    case "waiting":
      return <span {...shared} className="mx-[0.3rem] size-1.5 flex-none rounded-full bg-faint" />;
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
}
