import { type InfiniteData, type QueryClient, useQuery, useQueryClient } from "@tanstack/react-query";
import { ArrowLeft, FileQuestion, MonitorPlay, Send } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { type Study, readStudy, searchPriors, searchSeries, viewerPath } from "../../api/dicomweb";
import { ageOn, formatDate, formatTime, mainName, otherNames } from "../../dicom/json";
import { useKeys } from "../../ui/keys";
import { EmptyState, ErrorState, FetchingLine, Modality, useTitle } from "../../ui/states";
import { SendDialog } from "../forwarding/SendDialog";
import { useMay } from "../session/session";
import { SeriesCard } from "./SeriesCard";

const REFRESH_MS = 5_000;

export function StudyPage() {
  const { studyUid = "" } = useParams();
  const queries = useQueryClient();
  const study = useQuery<Study | null>({
    queryKey: ["study", studyUid],
    queryFn: ({ signal }) => readStudy(studyUid, signal),
    // One comes from a list that had the study: it is shown at once, and then once more as it is now.
    placeholderData: () => listedStudy(queries, studyUid),
  });
  const navigate = useNavigate();
  useTitle(study.data?.description || "Study");
  useKeys({ o: () => window.location.assign(viewerPath(studyUid)), Escape: () => void navigate(-1) });
  if (study.data) return <Found study={study.data} />;
  return (
    <>
      <h1 className="sr-only">Study</h1>
      {study.isPending ? (
        <FetchingLine active />
      ) : study.error ? (
        <ErrorState error={study.error} retry={() => void study.refetch()} />
      ) : (
        <EmptyState icon={<FileQuestion className="size-6" aria-hidden />} title="There is no such study">
          <p>It may have been deleted, or it belongs to another tenant.</p>
          <Link to="/" className="button">
            Back to the studies
          </Link>
        </EmptyState>
      )}
    </>
  );
}

function listedStudy(queries: QueryClient, uid: string): Study | undefined {
  const lists = queries.getQueriesData<InfiniteData<{ studies: Study[] }>>({ queryKey: ["studies"] });
  const priors = queries.getQueriesData<Study[]>({ queryKey: ["priors"] });
  return [
    ...lists.flatMap(([, list]) => list?.pages.flatMap((page) => page.studies) ?? []),
    ...priors.flatMap(([, studies]) => studies ?? []),
  ].find((each) => each.uid === uid);
}

function Found({ study }: { study: Study }) {
  return (
    <>
      <PatientBanner study={study} />
      <div className="flex min-h-0 flex-1">
        <section aria-label="Series" className="min-w-0 flex-1 overflow-auto p-5">
          <StudyHeading study={study} />
          <SeriesList studyUid={study.uid} />
        </section>
        <Priors study={study} />
      </div>
    </>
  );
}

function PatientBanner({ study }: { study: Study }) {
  const age = ageOn(study.birthDate, study.date);
  const maySend = useMay("administer");
  const [isSending, setSending] = useState(false);
  useKeys(maySend ? { s: () => setSending(true) } : {});
  return (
    <header className="flex flex-none items-center gap-5 border-b border-line bg-panel px-4 py-2.5">
      <Link to="/" aria-label="Back to the studies" title="Back to the studies (Esc)" className="button button-quiet px-2!">
        <ArrowLeft className="size-4" aria-hidden />
      </Link>
      <div className="min-w-0">
        <h1 className="truncate text-lg leading-tight font-semibold tracking-tight">
          <bdi>{mainName(study.patientName) || "(no name)"}</bdi>
          <bdi className="ml-3 font-normal text-dim">{otherNames(study.patientName).join(" · ")}</bdi>
        </h1>
        <dl className="mt-0.5 flex flex-wrap gap-x-5">
          <Fact name="ID" value={study.patientId + (study.issuer === "" ? "" : ` (${study.issuer})`)} />
          <Fact name="Born" value={formatDate(study.birthDate) + (age === "" ? "" : ` (${age})`)} />
          <Fact name="Sex" value={study.sex} />
        </dl>
      </div>
      <div className="flex-1" />
      {maySend && (
        <button type="button" className="button" title="Send to another system (s)" onClick={() => setSending(true)}>
          <Send className="size-4" aria-hidden />
          Send to…
        </button>
      )}
      {isSending && <SendDialog studies={[study]} close={() => setSending(false)} />}
      <a href={viewerPath(study.uid)} className="button button-primary" title="Open in the viewer (o)">
        <MonitorPlay className="size-4" aria-hidden />
        Open in viewer
      </a>
    </header>
  );
}

function StudyHeading({ study }: { study: Study }) {
  return (
    <div className="mb-5">
      <h2 className="flex items-center gap-2.5 text-base font-semibold">
        {study.description || "Study without description"}
        <span className="flex gap-1">
          {study.modalities.map((code) => (
            <Modality key={code} code={code} />
          ))}
        </span>
      </h2>
      <dl className="mt-1 flex flex-wrap gap-x-5 gap-y-0.5">
        <Fact name="Date" value={`${formatDate(study.date)} ${formatTime(study.time)}`.trim()} />
        <Fact name="Accession" value={study.accession} />
        <Fact name="Referring" value={mainName(study.referring)} />
        <Fact name="Series" value={String(study.seriesCount ?? "")} />
        <Fact name="Images" value={study.instanceCount?.toLocaleString("en") ?? ""} />
      </dl>
    </div>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  if (value === "") return null;
  return (
    <div className="flex gap-1.5">
      <dt className="text-faint">{name}</dt>
      <dd className="tabular-nums">{value}</dd>
    </div>
  );
}

function SeriesList({ studyUid }: { studyUid: string }) {
  const { data, error, refetch } = useQuery({
    queryKey: ["series", studyUid],
    queryFn: ({ signal }) => searchSeries(studyUid, signal),
    refetchInterval: REFRESH_MS,
  });
  if (error && !data) return <ErrorState error={error} retry={() => void refetch()} />;
  return (
    <ul className="grid grid-cols-[repeat(auto-fill,minmax(13rem,1fr))] gap-4">
      {data
        ? data.map((series) => <SeriesCard key={series.uid} studyUid={studyUid} series={series} />)
        : Array.from({ length: 6 }, (_, card) => (
            <li key={card} className="waiting h-56 rounded-lg border border-line bg-panel" aria-hidden />
          ))}
    </ul>
  );
}

function Priors({ study }: { study: Study }) {
  const { data, error } = useQuery({
    queryKey: ["priors", study.uid],
    queryFn: ({ signal }) => searchPriors(study, signal),
  });
  let content: ReactNode = null;
  if (error) content = <p className="px-2 text-danger">They could not be loaded.</p>;
  else if (data?.length === 0) content = <p className="px-2 text-faint">None in this archive.</p>;
  else if (data) {
    content = (
      <ul className="flex flex-col gap-0.5">
        {data.map((other) => (
          <li key={other.uid}>
            <Link to={`/studies/${other.uid}`} className="flex flex-col gap-0.5 rounded-md px-2 py-1.5 hover:bg-raised">
              <span className="flex items-center gap-1.5 whitespace-nowrap tabular-nums">
                <span className="flex-1 font-medium">{formatDate(other.date) || "No date"}</span>
                {other.modalities.map((code) => (
                  <Modality key={code} code={code} />
                ))}
              </span>
              <span className="flex gap-3 text-dim">
                <span className="min-w-0 flex-1 truncate">{other.description || "No description"}</span>
                <span className="whitespace-nowrap text-faint">{ageBetween(other.date, study.date)}</span>
              </span>
            </Link>
          </li>
        ))}
      </ul>
    );
  }
  return (
    <aside aria-label="Other studies of this patient" className="w-72 flex-none overflow-auto border-l border-line bg-panel p-3">
      <h2 className="px-2 pb-2 font-semibold">Other studies of this patient</h2>
      {content}
    </aside>
  );
}

/** How far the other study lies from this one, as one says it when comparing. */
function ageBetween(other: string, here: string): string {
  const before = ageOn(other, here);
  if (before !== "") return before === "0 d" ? "same day" : `${before} before`;
  const after = ageOn(here, other);
  return after === "" ? "" : `${after} after`;
}
