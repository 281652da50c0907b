import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Ban, Gauge, Pause, Play, RotateCcw, Send } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";
import { call } from "../../api/console";
import { FormDialog } from "../../ui/Dialog";
import { TextField } from "../../ui/form";
import { counted, formatMoment } from "../../ui/format";
import { Grid, type GridColumn, SkeletonRows } from "../../ui/Grid";
import { useNotices } from "../../ui/notices";
import { PageBar, PageFooter, Spacer, State, Tabs } from "../../ui/page";
import { EmptyState, ErrorState } from "../../ui/states";
import { useMay } from "../session/session";
import { type Destination, FORWARDING } from "./data";
import { TABS } from "./tabs";
import { destinationState, rateInWords } from "./words";

const REFRESH_MS = 2_000;

/** How every destination stands, and the handles to steer it. */
export function Destinations() {
  const mayChange = useMay("administer");
  const queries = useQueryClient();
  const { attempt } = useNotices();
  const [current, setCurrent] = useState<string>();
  const [open, setOpen] = useState<{ what: "bounds" | "cancel"; destination: Destination }>();
  const list = useQuery({
    queryKey: [...FORWARDING, "destinations"],
    queryFn: async ({ signal }) => (await call("get", "/forwarding/destinations", { signal })).destinations,
    refetchInterval: REFRESH_MS,
  });
  const destinations = list.data ?? [];
  const chosen = destinations.find((each) => each.destination === current);
  const reload = () => queries.invalidateQueries({ queryKey: FORWARDING });

  const hold = ({ destination, is_held: isHeld }: Destination) =>
    void attempt(async () => {
      await call("post", `/forwarding/destinations/{ae_title}/${isHeld ? "resume" : "hold"}`, { path: { ae_title: destination } });
      await reload();
    });
  const retry = ({ destination }: Destination) =>
    void attempt(
      async () => {
        const path = { ae_title: destination };
        const affected = await call("post", "/forwarding/destinations/{ae_title}/retry", { path, body: {} });
        await reload();
        return affected;
      },
      ({ instances }) => `${counted(instances, "instance")} to ${destination} ${instances === 1 ? "is" : "are"} tried again.`,
    );

  return (
    <>
      <PageBar title="Forwarding">
        <Tabs label="Forwarding" tabs={TABS} />
        <Spacer />
        {mayChange && (
          <>
            <button type="button" className="button" disabled={!chosen} onClick={() => chosen && hold(chosen)}>
              {chosen?.is_held ? <Play className="size-4" aria-hidden /> : <Pause className="size-4" aria-hidden />}
              {chosen?.is_held ? "Resume" : "Hold"}
            </button>
            <button type="button" className="button" disabled={!chosen} onClick={() => chosen && retry(chosen)}>
              <RotateCcw className="size-4" aria-hidden />
              Try again
            </button>
            <button type="button" className="button" disabled={!chosen} onClick={() => chosen && setOpen({ what: "cancel", destination: chosen })}>
              <Ban className="size-4" aria-hidden />
              Cancel all
            </button>
            <button
              type="button"
              className="button"
              disabled={!chosen?.is_registered}
              onClick={() => chosen && setOpen({ what: "bounds", destination: chosen })}
            >
              <Gauge className="size-4" aria-hidden />
              Bounds
            </button>
          </>
        )}
      </PageBar>
      <div className="flex min-h-0 flex-1 flex-col border-t border-line">
        <Grid
          id="destinations"
          label="Destinations"
          columns={COLUMNS}
          rows={destinations}
          keyOf={(each) => each.destination}
          minWidth="72rem"
          current={current}
          setCurrent={setCurrent}
          open={mayChange ? (destination) => destination.is_registered && setOpen({ what: "bounds", destination }) : undefined}
          keys={mayChange ? { h: hold, r: retry, Delete: (destination) => setOpen({ what: "cancel", destination }) } : {}}
          placeholder={
            list.isPending ? (
              <SkeletonRows label="Loading destinations" />
            ) : list.error ? (
              <ErrorState error={list.error} retry={() => void list.refetch()} />
            ) : (
              <EmptyState icon={<Send className="size-6" aria-hidden />} title="Nothing is forwarded yet">
                <p>A destination shows here when a rule names it, or when a study was sent to it.</p>
                <Link to="/forwarding/rules" className="button">
                  Go to the rules
                </Link>
              </EmptyState>
            )
          }
        />
      </div>
      <PageFooter
        error={list.error}
        status={list.data ? counted(destinations.length, "destination") : ""}
        keys={[
          ["j k", "move"],
          ...(mayChange
            ? ([
                ["h", "hold, resume"],
                ["r", "try again"],
                ["Enter", "bounds"],
                ["Delete", "cancel all"],
              ] satisfies [string, string][])
            : []),
        ]}
      />
      {open?.what === "bounds" && <BoundsDialog destination={open.destination} close={() => setOpen(undefined)} reload={reload} />}
      {open?.what === "cancel" && <CancelDialog destination={open.destination} close={() => setOpen(undefined)} reload={reload} />}
    </>
  );
}

const COLUMNS: GridColumn<Destination>[] = [
  { title: "Destination", width: "11rem", cell: (each) => <span className="font-medium">{each.destination}</span> },
  { title: "State", width: "12rem", cell: (each) => <DestinationState destination={each} /> },
  { title: "Waiting", width: "5.5rem", isNumber: true, cell: (each) => <Count of={each.instances.waiting} /> },
  { title: "Sending", width: "5.5rem", isNumber: true, cell: (each) => <Count of={each.instances.sending} /> },
  { title: "Failed", width: "5.5rem", isNumber: true, cell: (each) => <Count of={each.instances.failed} className="text-danger" /> },
  { title: "Cancelled", width: "6rem", isNumber: true, cell: (each) => <Count of={each.instances.cancelled} /> },
  { title: "Sent, 24 h", width: "6.5rem", isNumber: true, cell: (each) => <Count of={each.jobs.done} /> },
  { title: "At a time", width: "5.5rem", isNumber: true, cell: (each) => each.concurrency },
  { title: "Rate", width: "8rem", isNumber: true, cell: (each) => rateInWords(each.max_bytes_per_s) },
  {
    title: "Waits since",
    width: "12rem",
    cell: (each) => <span className="tabular-nums">{formatMoment(each.oldest_queued_at)}</span>,
  },
  {
    title: "Last trouble",
    width: "minmax(10rem, 1fr)",
    cell: (each) => each.error && <span title={each.error}>{each.error}</span>,
  },
];

function DestinationState({ destination }: { destination: Destination }) {
  const { title, tone } = destinationState(destination, Date.now());
  return <State tone={tone}>{title}</State>;
}

function Count({ of, className = "" }: { of: number | undefined; className?: string }) {
  return of ? <span className={className}>{of.toLocaleString("en")}</span> : <span className="text-faint">0</span>;
}

interface DialogProps {
  destination: Destination;
  close: () => void;
  reload: () => Promise<void>;
}

function BoundsDialog({ destination: { destination, concurrency, max_bytes_per_s: rate }, close, reload }: DialogProps) {
  const [jobs, setJobs] = useState(String(concurrency));
  const [kilobytes, setKilobytes] = useState(rate === null ? "" : String(rate / 1000));
  const submit = async () => {
    await call("put", "/forwarding/destinations/{ae_title}/bounds", {
      path: { ae_title: destination },
      body: {
        concurrency: jobs === "" ? null : Number(jobs),
        max_bytes_per_s: kilobytes === "" ? null : Number(kilobytes) * 1000,
      },
    });
    await reload();
  };
  return (
    <FormDialog title={`How much ${destination} gets`} action="Save" close={close} submit={submit}>
      <TextField
        label="Studies at a time"
        type="number"
        min={1}
        max={64}
        value={jobs}
        onChange={setJobs}
        hint="Empty: as many as its entry in the network has associations."
      />
      <TextField
        label="Kilobytes in a second"
        type="number"
        min={0.001}
        step="any"
        value={kilobytes}
        onChange={setKilobytes}
        hint="For all workers together. Empty: as fast as it goes."
      />
    </FormDialog>
  );
}

function CancelDialog({ destination: { destination, instances }, close, reload }: DialogProps) {
  const { tell } = useNotices();
  const unsent = (instances.waiting ?? 0) + (instances.sending ?? 0) + (instances.failed ?? 0);
  const submit = async () => {
    const path = { ae_title: destination };
    const affected = await call("post", "/forwarding/destinations/{ae_title}/cancel", { path, body: {} });
    await reload();
    tell(`${counted(affected.instances, "instance")} to ${destination} given up.`);
  };
  return (
    <FormDialog title={`Cancel all that waits for ${destination}?`} action="Give it up" isDangerous close={close} submit={submit}>
      <p>
        {counted(unsent, "instance")} that {unsent === 1 ? "has" : "have"} not been sent will not be, until somebody tries again. What comes
        later goes as the rules say.
      </p>
    </FormDialog>
  );
}
