import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { Ban, ListChecks, RotateCcw, ScrollText, SearchX } from "lucide-react";
import { useState } from "react";
import { useSearchParams } from "react-router";
import { type Schemas, call } from "../../api/console";
import { useStudiesHere } from "../../api/useStudiesHere";
import { Dialog } from "../../ui/Dialog";
import { counted, formatMoment } from "../../ui/format";
import { Grid, type GridColumn, SkeletonRows } from "../../ui/Grid";
import { useNotices } from "../../ui/notices";
import { PageBar, PageFooter, Spacer, Tabs } from "../../ui/page";
import { EmptyState, ErrorState } from "../../ui/states";
import { StudyName } from "../../ui/StudyName";
import { JOB_STATES, JobStateCell, type JobState, hasEnded } from "./states";
import { TABS } from "./tabs";

type Job = Schemas["JobEntry"];

const REFRESH_MS = 2_000;
const PAGE = 100;
const MOST = 1000;
const JOBS = ["jobs"];

/** What waits, runs and has ended, which worker has it, and why it failed. */
export function Jobs() {
  const queries = useQueryClient();
  const { attempt } = useNotices();
  const [address, setAddress] = useSearchParams();
  const state = address.get("state") ?? "";
  const kind = address.get("kind") ?? "";
  const narrow = (part: Record<string, string>) =>
    setAddress(Object.entries({ state, kind, ...part }).filter(([, value]) => value !== ""), { replace: true });
  const [limit, setLimit] = useState(PAGE);
  const [current, setCurrent] = useState<string>();
  const [opened, open] = useState<number>();
  const list = useQuery({
    queryKey: [...JOBS, state, kind, limit],
    queryFn: async ({ signal }) => {
      const query = { limit, ...(state && { state: [state as JobState] }), ...(kind && { kind }) };
      return (await call("get", "/jobs", { query, signal })).jobs;
    },
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH_MS,
  });
  const jobs = list.data ?? [];
  const kinds = [...new Set([...jobs.map((job) => job.kind), kind])].filter(Boolean).sort();
  const here = useStudiesHere(jobs.map(studyOf).filter((uid) => uid !== undefined));
  const chosen = jobs.find((job) => String(job.job_id) === current);
  const shown = jobs.find((job) => job.job_id === opened);

  const change = (job: Job, what: "cancel" | "retry") =>
    void attempt(async () => {
      await call("post", `/jobs/{job_id}/${what}`, { path: { job_id: job.job_id } });
      await queries.invalidateQueries({ queryKey: JOBS });
    });
  const columns: GridColumn<Job>[] = [
    { title: "No.", width: "5rem", isNumber: true, cell: (job) => job.job_id },
    { title: "State", width: "7.5rem", cell: (job) => <JobStateCell state={job.state} /> },
    { title: "Kind", width: "9.5rem", cell: (job) => job.kind },
    { title: "Lane", width: "minmax(8rem, 1fr)", cell: (job) => job.lane },
    {
      title: "About",
      width: "minmax(12rem, 2fr)",
      cell: (job) => {
        const uid = studyOf(job);
        return uid ? <StudyName uid={uid} study={here.get(uid)} isHere={here.has(uid)} /> : briefly(job.payload);
      },
    },
    { title: "Try", width: "3.6rem", isNumber: true, cell: (job) => job.attempt },
    { title: "Priority", width: "4.8rem", isNumber: true, cell: (job) => job.priority },
    { title: "Made", width: "12rem", cell: (job) => <span className="tabular-nums">{formatMoment(job.created_at)}</span> },
    { title: "Next or last", width: "12rem", cell: (job) => <span className="tabular-nums">{formatMoment(momentOf(job))}</span> },
    {
      title: "Trouble",
      width: "minmax(10rem, 2fr)",
      cell: (job) => job.error && <span className={job.state === "failed" ? "text-danger" : "text-dim"}>{job.error}</span>,
    },
  ];
  return (
    <>
      <PageBar title="Jobs">
        <Tabs label="Jobs" tabs={TABS} />
        <select aria-label="State" className="field" value={state} onChange={(event) => narrow({ state: event.target.value })}>
          <option value="">Any state</option>
          {Object.entries(JOB_STATES).map(([value, { title }]) => (
            <option key={value} value={value}>
              {title}
            </option>
          ))}
        </select>
        <select aria-label="Kind" className="field" value={kind} onChange={(event) => narrow({ kind: event.target.value })}>
          <option value="">Any kind</option>
          {kinds.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
        <Spacer />
        <button type="button" className="button" disabled={!chosen} onClick={() => chosen && open(chosen.job_id)}>
          <ScrollText className="size-4" aria-hidden />
          Details
        </button>
        <button type="button" className="button" disabled={!chosen || !mayRetry(chosen)} onClick={() => chosen && change(chosen, "retry")}>
          <RotateCcw className="size-4" aria-hidden />
          Try again
        </button>
        <button
          type="button"
          className="button"
          disabled={!chosen || hasEnded(chosen.state)}
          onClick={() => chosen && change(chosen, "cancel")}
        >
          <Ban className="size-4" aria-hidden />
          Cancel
        </button>
      </PageBar>
      <div className="flex min-h-0 flex-1 flex-col border-t border-line">
        <Grid
          id="jobs"
          label="Jobs"
          columns={columns}
          rows={jobs}
          keyOf={(job) => String(job.job_id)}
          minWidth="78rem"
          current={current}
          setCurrent={setCurrent}
          open={(job) => open(job.job_id)}
          keys={{
            r: (job) => mayRetry(job) && change(job, "retry"),
            Delete: (job) => !hasEnded(job.state) && change(job, "cancel"),
          }}
          loadMore={jobs.length >= limit && limit < MOST && !list.isFetching ? () => setLimit(limit + PAGE) : undefined}
          placeholder={
            list.isPending ? (
              <SkeletonRows label="Loading jobs" />
            ) : list.error ? (
              <ErrorState error={list.error} retry={() => void list.refetch()} />
            ) : state || kind ? (
              <EmptyState icon={<SearchX className="size-6" aria-hidden />} title="No such job">
                <button type="button" className="button" onClick={() => narrow({ state: "", kind: "" })}>
                  Show all
                </button>
              </EmptyState>
            ) : (
              <EmptyState icon={<ListChecks className="size-6" aria-hidden />} title="No jobs">
                <p>Work that takes time shows here. What ended well is forgotten after a day, what did not after thirty.</p>
              </EmptyState>
            )
          }
        />
      </div>
      <PageFooter
        error={list.error}
        status={list.data ? counted(jobs.length, "job") : ""}
        keys={[
          ["j k", "move"],
          ["Enter", "details"],
          ["r", "try again"],
          ["Delete", "cancel"],
        ]}
      />
      {shown && <JobDialog job={shown} close={() => open(undefined)} />}
    </>
  );
}

/** What failed or was cancelled runs again; what waits runs at once. */
function mayRetry(job: Job): boolean {
  return job.state === "failed" || job.state === "cancelled" || job.state === "queued";
}

function studyOf(job: Job): string | undefined {
  const uid = job.payload.study_instance_uid;
  return typeof uid === "string" ? uid : undefined;
}

/** When it ended, began, or is to run. */
function momentOf(job: Job): string | null {
  if (hasEnded(job.state)) return job.finished_at;
  return job.state === "running" ? job.started_at : job.run_at;
}

function briefly(payload: Job["payload"]): string {
  return Object.entries(payload)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
    .join(", ");
}

function JobDialog({ job, close }: { job: Job; close: () => void }) {
  const facts: [string, string | number | null][] = [
    ["Kind", job.kind],
    ["Lane", job.lane],
    ["Priority", job.priority],
    ["Try", job.attempt],
    ["Worker", job.worker],
    ["Made", formatMoment(job.created_at)],
    ["To run", formatMoment(job.run_at)],
    ["Begun", formatMoment(job.started_at)],
    ["Ended", formatMoment(job.finished_at)],
    ["Code", job.error_code],
    ["Trouble", job.error],
  ];
  return (
    <Dialog title={`Job ${job.job_id}: ${JOB_STATES[job.state].title}`} close={close} width="42rem">
      <div className="flex flex-col gap-4 overflow-auto px-5 py-4">
        <dl className="grid grid-cols-[7rem_1fr] gap-y-1.5">
          {facts
            .filter(([, value]) => value !== null && value !== "")
            .map(([name, value]) => (
              <div key={name} className="contents">
                <dt className="text-dim">{name}</dt>
                <dd className="break-words tabular-nums">{value}</dd>
              </div>
            ))}
        </dl>
        <pre aria-label="What it is about" tabIndex={0} className="overflow-auto rounded-lg border border-line bg-ground p-3 leading-relaxed">
          {JSON.stringify(job.payload, null, 2)}
        </pre>
      </div>
    </Dialog>
  );
}
