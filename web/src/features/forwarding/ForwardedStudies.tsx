import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { Ban, HelpCircle, ListChecks, RotateCcw, SearchX } from "lucide-react";
import { useState } from "react";
import { useSearchParams } from "react-router";
import { call } from "../../api/console";
import { useStudiesHere } from "../../api/useStudiesHere";
import { Dialog } from "../../ui/Dialog";
import { counted, formatMoment } from "../../ui/format";
import { Grid, type GridColumn, SkeletonRows } from "../../ui/Grid";
import { useNotices } from "../../ui/notices";
import { PageBar, PageFooter, Progress, Spacer, State, Tabs } from "../../ui/page";
import { StudyName } from "../../ui/StudyName";
import { EmptyState, ErrorState, messageOf } from "../../ui/states";
import { useMay } from "../session/session";
import { FORWARDING, type ForwardState, type ForwardedStudy } from "./data";
import { TABS } from "./tabs";
import { FORWARD_STATES, sumOf } from "./words";

const REFRESH_MS = 2_000;
const PAGE = 100;
const MOST = 1000;

/** How studies stand with their destinations, the last to change first. */
export function ForwardedStudies() {
  const mayChange = useMay("administer");
  const queries = useQueryClient();
  const { attempt } = useNotices();
  const [address, setAddress] = useSearchParams();
  const destination = address.get("destination") ?? "";
  const state = address.get("state") ?? "";
  const narrow = (part: Record<string, string>) =>
    setAddress(Object.entries({ destination, state, ...part }).filter(([, value]) => value !== ""), { replace: true });
  const [limit, setLimit] = useState(PAGE);
  const [current, setCurrent] = useState<string>();
  const [explained, explain] = useState<string>();
  const destinations = useQuery({
    queryKey: [...FORWARDING, "destinations"],
    queryFn: async ({ signal }) => (await call("get", "/forwarding/destinations", { signal })).destinations,
  });
  const list = useQuery({
    queryKey: [...FORWARDING, "studies", destination, state, limit],
    queryFn: async ({ signal }) => {
      const query = { limit, ...(destination && { destination }), ...(state && { state: [state as ForwardState] }) };
      return (await call("get", "/forwarding/studies", { query, signal })).studies;
    },
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH_MS,
  });
  const studies = list.data ?? [];
  const here = useStudiesHere(studies.map((each) => each.study_instance_uid));
  const chosen = studies.find((each) => keyOf(each) === current);

  const steer = (study: ForwardedStudy, what: "cancel" | "retry") =>
    void attempt(
      async () => {
        const affected = await call("post", `/forwarding/destinations/{ae_title}/${what}`, {
          path: { ae_title: study.destination },
          body: { study_instance_uid: study.study_instance_uid },
        });
        await queries.invalidateQueries({ queryKey: FORWARDING });
        return affected;
      },
      ({ instances }) => `${counted(instances, "instance")} to ${study.destination} ${what === "retry" ? "tried again" : "given up"}.`,
    );
  const columns: GridColumn<ForwardedStudy>[] = [
    {
      title: "Study",
      width: "minmax(16rem, 2fr)",
      cell: ({ study_instance_uid: uid }) => <StudyName uid={uid} study={here.get(uid)} isHere={here.has(uid)} />,
    },
    { title: "Destination", width: "10rem", cell: (each) => each.destination },
    { title: "State", width: "11rem", cell: (each) => <StudyState counts={each.instances} /> },
    { title: "Instances sent", width: "14rem", cell: (each) => <Progress label="Sent" done={each.instances.sent ?? 0} of={sumOf(each.instances)} /> },
    { title: "Changed", width: "12rem", cell: (each) => <span className="tabular-nums">{formatMoment(each.changed_at)}</span> },
    {
      title: "Trouble",
      width: "minmax(10rem, 1.4fr)",
      cell: (each) => each.error && <span title={each.error}>{each.error}</span>,
    },
  ];
  return (
    <>
      <PageBar title="Forwarding">
        <Tabs label="Forwarding" tabs={TABS} />
        <select aria-label="Destination" className="field" value={destination} onChange={(event) => narrow({ destination: event.target.value })}>
          <option value="">All destinations</option>
          {destinations.data?.map((each) => (
            <option key={each.destination}>{each.destination}</option>
          ))}
        </select>
        <select aria-label="State" className="field" value={state} onChange={(event) => narrow({ state: event.target.value })}>
          <option value="">Any state</option>
          {Object.entries(FORWARD_STATES).map(([value, { title }]) => (
            <option key={value} value={value}>
              some {title}
            </option>
          ))}
        </select>
        <Spacer />
        <button type="button" className="button" disabled={!chosen} onClick={() => chosen && explain(chosen.study_instance_uid)}>
          <HelpCircle className="size-4" aria-hidden />
          Why?
        </button>
        {mayChange && (
          <>
            <button type="button" className="button" disabled={!chosen} onClick={() => chosen && steer(chosen, "retry")}>
              <RotateCcw className="size-4" aria-hidden />
              Try again
            </button>
            <button type="button" className="button" disabled={!chosen} onClick={() => chosen && steer(chosen, "cancel")}>
              <Ban className="size-4" aria-hidden />
              Cancel
            </button>
          </>
        )}
      </PageBar>
      <div className="flex min-h-0 flex-1 flex-col border-t border-line">
        <Grid
          id="forwarded"
          label="Studies forwarded"
          columns={columns}
          rows={studies}
          keyOf={keyOf}
          minWidth="72rem"
          current={current}
          setCurrent={setCurrent}
          open={(each) => explain(each.study_instance_uid)}
          keys={mayChange ? { r: (each) => steer(each, "retry"), Delete: (each) => steer(each, "cancel") } : {}}
          loadMore={studies.length >= limit && limit < MOST && !list.isFetching ? () => setLimit(limit + PAGE) : undefined}
          placeholder={
            list.isPending ? (
              <SkeletonRows label="Loading studies" />
            ) : list.error ? (
              <ErrorState error={list.error} retry={() => void list.refetch()} />
            ) : destination || state ? (
              <EmptyState icon={<SearchX className="size-6" aria-hidden />} title="No study is in that state">
                <button type="button" className="button" onClick={() => narrow({ destination: "", state: "" })}>
                  Show all
                </button>
              </EmptyState>
            ) : (
              <EmptyState icon={<ListChecks className="size-6" aria-hidden />} title="No study has been forwarded yet">
                <p>Each study that a rule or a person sends shows here, with how far it is.</p>
              </EmptyState>
            )
          }
        />
      </div>
      <PageFooter
        error={list.error}
        status={list.data ? counted(studies.length, "study", "studies") : ""}
        keys={[
          ["j k", "move"],
          ["Enter", "why"],
          ...(mayChange ? ([["r", "try again"], ["Delete", "cancel"]] satisfies [string, string][]) : []),
        ]}
      />
      {explained && <ExplanationDialog uid={explained} close={() => explain(undefined)} />}
    </>
  );
}

function keyOf({ study_instance_uid: uid, destination }: ForwardedStudy): string {
  return `${uid} ${destination}`;
}

const ORDER: ForwardState[] = ["sending", "waiting", "failed", "cancelled", "sent"];

/** The state that says most of all, with its count where there are others. */
function StudyState({ counts }: { counts: ForwardedStudy["instances"] }) {
  const first = ORDER.find((state) => counts[state]) ?? "sent";
  const count = counts[first] ?? 0;
  return (
    <State tone={FORWARD_STATES[first].tone}>
      {count === sumOf(counts) ? "" : `${count.toLocaleString("en")} `}
      {FORWARD_STATES[first].title}
    </State>
  );
}

/** What each rule says of a study's instances as they are now. */
function ExplanationDialog({ uid, close }: { uid: string; close: () => void }) {
  const { data, error } = useQuery({
    queryKey: [...FORWARDING, "explanation", uid],
    queryFn: async ({ signal }) => {
      const path = { study_instance_uid: uid };
      return (await call("get", "/forwarding/studies/{study_instance_uid}/explanation", { path, signal })).instances;
    },
  });
  return (
    <Dialog title="What the rules say of this study" close={close} width="44rem">
      <div className="flex min-h-24 flex-col gap-4 overflow-auto px-5 py-4">
        {error && (
          <p role="alert" className="text-danger">
            {messageOf(error)}
          </p>
        )}
        {data?.length === 0 && <p className="text-dim">The study is not here any more.</p>}
        {data?.map((instance) => (
          <section key={instance.sop_instance_uid}>
            <h3 className="truncate font-medium" title={instance.sop_instance_uid}>
              {instance.sop_instance_uid}
              <span className="text-dim"> · {instance.destinations.length > 0 ? `to ${instance.destinations.join(", ")}` : "goes nowhere by rules"}</span>
            </h3>
            <ul className="mt-1 flex flex-col gap-0.5">
              {instance.verdicts.map((verdict) => (
                <li key={`${verdict.rule_id} ${verdict.timing}`} className="flex gap-2">
                  <State tone={verdict.applies ? "good" : "calm"}>{verdict.rule}</State>
                  <span className="text-dim">{verdict.reason}</span>
                </li>
              ))}
            </ul>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
