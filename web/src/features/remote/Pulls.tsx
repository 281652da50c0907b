import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Ban, RotateCcw } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { type Schemas, call } from "../../api/console";
import type { Study } from "../../api/dicomweb";
import { useStudiesHere } from "../../api/useStudiesHere";
import { Grid, type GridColumn } from "../../ui/Grid";
import { StudyName } from "../../ui/StudyName";
import { formatMoment } from "../../ui/format";
import { useNotices } from "../../ui/notices";
import { Progress } from "../../ui/page";
import { ErrorState } from "../../ui/states";
import { JobStateCell, hasEnded } from "../jobs/states";

type Pull = Schemas["PullEntry"];

const ACTIVE_MS = 1_000;
const QUIET_MS = 10_000;

export const PULLS = ["pulls"];

/** How the latest pulls stand; `known` tells of studies that are not here yet. */
export function Pulls({ known }: { known: ReadonlyMap<string, Study> }) {
  const queries = useQueryClient();
  const { attempt } = useNotices();
  const [current, setCurrent] = useState<string>();
  const list = useQuery({
    queryKey: PULLS,
    queryFn: async ({ signal }) => (await call("get", "/pulls", { signal })).pulls,
    refetchInterval: ({ state }) => (state.data?.some((pull) => !hasEnded(pull.state)) ? ACTIVE_MS : QUIET_MS),
  });
  const pulls = list.data ?? [];
  const here = useStudiesHere(pulls.map((pull) => pull.study_instance_uid));
  const received = pulls.reduce((sum, pull) => sum + pull.received_count, 0);
  const before = useRef(received);
  useEffect(() => {
    if (before.current === received) return;
    before.current = received;
    for (const key of ["studies-here", "studies", "study", "series", "priors"]) void queries.invalidateQueries({ queryKey: [key] });
  }, [queries, received]);

  const change = (pull: Pull, what: "cancel" | "retry") =>
    void attempt(async () => {
      await call("post", `/pulls/{pull_id}/${what}`, { path: { pull_id: pull.pull_id } });
      await queries.invalidateQueries({ queryKey: PULLS });
    });
  const columns: GridColumn<Pull>[] = [
    {
      title: "Study",
      width: "minmax(14rem, 2.4fr)",
      cell: ({ study_instance_uid: uid }) => <StudyName uid={uid} study={here.get(uid) ?? known.get(uid)} isHere={here.has(uid)} />,
    },
    { title: "From", width: "9rem", cell: (pull) => pull.remote },
    { title: "State", width: "7rem", cell: (pull) => <JobStateCell state={pull.state} /> },
    {
      title: "Instances",
      width: "13rem",
      cell: (pull) =>
        pull.expected_count === null ? (
          <span className="tabular-nums">{pull.received_count.toLocaleString("en")}</span>
        ) : (
          <Progress label="Received" done={pull.received_count} of={pull.expected_count} />
        ),
    },
    { title: "Ordered", width: "12rem", cell: (pull) => <span className="tabular-nums">{formatMoment(pull.created_at)}</span> },
    {
      title: "Trouble",
      width: "minmax(8rem, 1.6fr)",
      cell: (pull) =>
        pull.error && (
          <span className={pull.state === "done" ? "text-faint" : "text-danger"} title={pull.error}>
            {pull.attempt > 1 && `try ${pull.attempt}: `}
            {pull.error}
          </span>
        ),
    },
    {
      title: "Change",
      width: "2.6rem",
      isForButtons: true,
      cell: (pull) =>
        pull.state !== "done" && (
          <button
            type="button"
            tabIndex={-1}
            className="rounded p-1 text-faint hover:bg-raised hover:text-ink"
            aria-label={hasEnded(pull.state) ? "Try again" : "Cancel"}
            title={hasEnded(pull.state) ? "Try again (r)" : "Cancel (Delete)"}
            onClick={() => change(pull, hasEnded(pull.state) ? "retry" : "cancel")}
          >
            {hasEnded(pull.state) ? <RotateCcw className="size-4" aria-hidden /> : <Ban className="size-4" aria-hidden />}
          </button>
        ),
    },
  ];
  return (
    <section aria-label="Pulls" className="flex h-[30%] min-h-40 flex-none flex-col border-t border-line">
      <h2 className="flex-none bg-panel px-4 pt-2 pb-1 font-semibold">Pulls</h2>
      <Grid
        id="pulls"
        label="Pulls"
        columns={columns}
        rows={pulls}
        keyOf={(pull) => String(pull.pull_id)}
        minWidth="60rem"
        current={current}
        setCurrent={setCurrent}
        autoFocus={false}
        keys={{
          Delete: (pull) => !hasEnded(pull.state) && change(pull, "cancel"),
          r: (pull) => hasEnded(pull.state) && pull.state !== "done" && change(pull, "retry"),
        }}
        placeholder={
          list.error ? (
            <ErrorState error={list.error} retry={() => void list.refetch()} />
          ) : (
            <p className="px-4 py-3 text-faint">{list.isPending ? "" : "What is pulled shows here, with its progress."}</p>
          )
        }
      />
    </section>
  );
}
