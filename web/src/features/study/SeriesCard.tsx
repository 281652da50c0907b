import { useQuery } from "@tanstack/react-query";
import { FileText } from "lucide-react";
import { useState } from "react";
import { type Series, renderedPath, searchInstances, thumbnailPath, viewerPath } from "../../api/dicomweb";
import { Modality } from "../../ui/states";

/** Kinds of series one reads as text; the server renders them as a page or a PDF. */
const DOCUMENTS: ReadonlySet<string> = new Set(["SR", "DOC", "KO", "PLAN"]);

export function SeriesCard({ studyUid, series }: { studyUid: string; series: Series }) {
  const title = series.description || series.bodyPart || "No description";
  const isDocument = DOCUMENTS.has(series.modality);
  return (
    <li className="flex flex-col overflow-hidden rounded-lg border border-line bg-panel">
      {isDocument ? (
        <Documents studyUid={studyUid} series={series} />
      ) : (
        <a href={viewerPath(studyUid)} className="group block">
          <span className="sr-only">Open {title} in the viewer</span>
          <Thumbnail path={thumbnailPath(studyUid, series.uid)} modality={series.modality} />
        </a>
      )}
      <div className="flex flex-col gap-1 border-t border-line px-3 py-2">
        <p className="truncate font-medium" title={title}>
          {title}
        </p>
        <p className="flex items-center gap-2 text-dim tabular-nums">
          <Modality code={series.modality || "?"} />
          {series.number !== undefined && <span>#{series.number}</span>}
          <span className="flex-1" />
          <span>{countText(series)}</span>
        </p>
      </div>
    </li>
  );
}

function countText({ instanceCount, modality }: Series): string {
  if (instanceCount === undefined) return "";
  const one = DOCUMENTS.has(modality) ? "document" : "image";
  return `${instanceCount.toLocaleString("en")} ${one}${instanceCount === 1 ? "" : "s"}`;
}

function Thumbnail({ path, modality }: { path: string; modality: string }) {
  const [hasFailed, setFailed] = useState(false);
  return (
    <div className="relative grid aspect-[4/3] place-items-center bg-black">
      {hasFailed ? (
        <span className="text-2xl font-semibold text-faint" aria-hidden>{modality || "?"}</span>
      ) : (
        <img
          src={path}
          alt=""
          loading="lazy"
          decoding="async"
          className="absolute inset-0 size-full object-contain opacity-90 transition-opacity group-hover:opacity-100"
          onError={() => setFailed(true)}
        />
      )}
    </div>
  );
}

function Documents({ studyUid, series }: { studyUid: string; series: Series }) {
  const { data, error } = useQuery({
    queryKey: ["series", studyUid, series.uid],
    queryFn: ({ signal }) => searchInstances(studyUid, series.uid, signal),
    staleTime: 60_000,
  });
  const isOne = data?.length === 1;
  return (
    <div className={`flex aspect-[4/3] flex-col overflow-auto ${isOne ? "" : "gap-1 p-2"}`}>
      {error && <p className="p-2 text-danger">The documents could not be listed.</p>}
      {data?.map((instance, index) => (
        <a
          key={instance.uid}
          href={renderedPath(studyUid, series.uid, instance.uid)}
          target="_blank"
          rel="noopener"
          className={`flex items-center gap-2 hover:bg-raised ${isOne ? "flex-1 flex-col justify-center p-4 text-center" : "rounded-md p-2"}`}
        >
          <FileText className={`flex-none text-accent ${isOne ? "size-10" : "size-5"}`} strokeWidth={isOne ? 1.25 : 2} aria-hidden />
          <span className="max-w-full truncate">{instance.title || `Document ${instance.number ?? index + 1}`}</span>
        </a>
      ))}
    </div>
  );
}
