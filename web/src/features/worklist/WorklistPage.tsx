import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { Ban, CalendarDays, ChevronLeft, ChevronRight, Pencil, Plus, SearchX, Trash2 } from "lucide-react";
import { type RefObject, useEffect, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { type Schemas, call } from "../../api/console";
import { FormDialog } from "../../ui/Dialog";
import { counted } from "../../ui/format";
import { Grid, type GridColumn, SkeletonRows } from "../../ui/Grid";
import { focusAndSelect, useKeys } from "../../ui/keys";
import { useNotices } from "../../ui/notices";
import { PageBar, PageFooter, State } from "../../ui/page";
import { EmptyState, ErrorState, FetchingLine, Modality, SearchBox, useTitle } from "../../ui/states";
import { useMay } from "../session/session";
import { MODALITIES } from "../studies/filters";
import { ItemDialog, WORKLIST } from "./ItemDialog";
import { type Item, STATUSES, type Status, dayAfter, localDay, shownName } from "./item";

const REFRESH_MS = 5_000;
const TYPING_PAUSE_MS = 250;
const MOST = 500;

type Open = { what: "add" } | { what: "edit" | "remove"; item: Item };

/** What is to be examined, and how far it is. */
export function WorklistPage() {
  useTitle("Worklist");
  const mayChange = useMay("store");
  const queries = useQueryClient();
  const { attempt } = useNotices();
  const [address, setAddress] = useSearchParams();
  const today = localDay(new Date());
  const asked = readAsked(address, today);
  const narrow = (part: Partial<Asked>) => setAddress(writeAsked({ ...asked, ...part }, today), { replace: true });
  const [current, setCurrent] = useState<string>();
  const [open, setOpen] = useState<Open>();
  const searchBox = useRef<HTMLInputElement>(null);
  const list = useQuery({
    queryKey: [...WORKLIST, writeAsked(asked, "").toString()],
    queryFn: ({ signal }) => call("get", "/worklist", { query: toQuery(asked), signal }),
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH_MS,
  });
  const items = list.data?.items ?? [];
  const chosen = items.find((item) => String(item.item_id) === current);
  const add = () => setOpen({ what: "add" });
  const move = (days: number) => narrow({ day: dayAfter(asked.day || today, days) });
  useKeys({
    "/": () => focusAndSelect(searchBox.current),
    "[": () => move(-1),
    "]": () => move(1),
    t: () => narrow({ day: today }),
    ...(mayChange && { n: add }),
  });
  const cancel = (item: Item) =>
    void attempt(
      async () => {
        const body = { status: "CANCELED" } as Schemas["StepEntry"];
        await call("patch", "/worklist/{item_id}", { path: { item_id: item.item_id }, body });
        await queries.invalidateQueries({ queryKey: WORKLIST });
      },
      () => "The step is canceled; modalities do not find it any more.",
    );
  const close = () => setOpen(undefined);
  const isNarrowed = asked.name !== "" || asked.modality !== "" || asked.station !== "" || asked.status !== "";

  return (
    <>
      <PageBar title="Worklist">
        <div role="group" aria-label="Day" className="flex items-center gap-1">
          <button type="button" className="button px-1.5!" aria-label="The day before" title="The day before ([)" onClick={() => move(-1)}>
            <ChevronLeft className="size-4" aria-hidden />
          </button>
          <input type="date" aria-label="Day" className="field w-[9.5rem]" value={asked.day} onChange={(event) => narrow({ day: event.target.value })} />
          <button type="button" className="button px-1.5!" aria-label="The day after" title="The day after (])" onClick={() => move(1)}>
            <ChevronRight className="size-4" aria-hidden />
          </button>
          <button type="button" className="chip" aria-pressed={asked.day === today} onClick={() => narrow({ day: today })}>
            Today
          </button>
          <button type="button" className="chip" aria-pressed={asked.day === ""} onClick={() => narrow({ day: "" })}>
            Any day
          </button>
        </div>
        <PausedSearch reference={searchBox} value={asked.name} change={(name) => narrow({ name })} />
        <select aria-label="Modality" className="field" value={asked.modality} onChange={(event) => narrow({ modality: event.target.value })}>
          <option value="">Any modality</option>
          {MODALITIES.map((code) => (
            <option key={code}>{code}</option>
          ))}
        </select>
        <PausedText label="Station" value={asked.station} change={(station) => narrow({ station })} />
        <select aria-label="Status" className="field" value={asked.status} onChange={(event) => narrow({ status: event.target.value as Asked["status"] })}>
          <option value="">To be done</option>
          <option value="all">Any status</option>
          {Object.entries(STATUSES).map(([status, { title }]) => (
            <option key={status} value={status}>
              {title}
            </option>
          ))}
        </select>
        {mayChange && (
          <div className="ml-auto flex items-center gap-3">
            <button type="button" className="button" disabled={!chosen} onClick={() => chosen && setOpen({ what: "edit", item: chosen })}>
              <Pencil className="size-4" aria-hidden />
              Edit
            </button>
            <button type="button" className="button" disabled={!chosen || chosen.status === "CANCELED"} onClick={() => chosen && cancel(chosen)}>
              <Ban className="size-4" aria-hidden />
              Cancel step
            </button>
            <button type="button" className="button" disabled={!chosen} onClick={() => chosen && setOpen({ what: "remove", item: chosen })}>
              <Trash2 className="size-4" aria-hidden />
              Remove
            </button>
            <button type="button" className="button button-primary" onClick={add}>
              <Plus className="size-4" aria-hidden />
              Schedule
            </button>
          </div>
        )}
      </PageBar>
      <FetchingLine active={list.isPlaceholderData} />
      <div className="flex min-h-0 flex-1 flex-col border-t border-line">
        <Grid
          id="worklist"
          label="Worklist"
          columns={COLUMNS}
          rows={items}
          keyOf={(item) => String(item.item_id)}
          minWidth="74rem"
          current={current}
          setCurrent={setCurrent}
          open={mayChange ? (item) => setOpen({ what: "edit", item }) : undefined}
          keys={mayChange ? { c: cancel, Delete: (item) => setOpen({ what: "remove", item }) } : {}}
          placeholder={
            list.isPending ? (
              <SkeletonRows label="Loading the worklist" />
            ) : list.error ? (
              <ErrorState error={list.error} retry={() => void list.refetch()} />
            ) : isNarrowed ? (
              <EmptyState icon={<SearchX className="size-6" aria-hidden />} title="No step matches">
                <button type="button" className="button" onClick={() => narrow({ name: "", modality: "", station: "", status: "" })}>
                  Clear all filters
                </button>
              </EmptyState>
            ) : (
              <EmptyState
                icon={<CalendarDays className="size-6" aria-hidden />}
                title={asked.day === "" ? "Nothing is scheduled" : `Nothing is to be done on ${asked.day}`}
              >
                <p>Steps come from the order system by the API, from worklist files, or are entered here.</p>
                {mayChange && (
                  <button type="button" className="button button-primary" onClick={add}>
                    Schedule a step
                  </button>
                )}
              </EmptyState>
            )
          }
        />
      </div>
      <PageFooter
        error={list.error}
        status={list.data ? `${counted(items.length, "step")}${list.data.total > items.length ? ` of ${list.data.total.toLocaleString("en")}` : ""}` : ""}
        keys={[
          ["j k", "move"],
          ["[ ]", "day"],
          ["t", "today"],
          ...(mayChange
            ? ([
                ["Enter", "edit"],
                ["c", "cancel"],
                ["Delete", "remove"],
                ["n", "schedule"],
              ] satisfies [string, string][])
            : []),
          ["/", "search"],
        ]}
      />
      {open?.what === "remove" ? (
        <RemoveDialog item={open.item} close={close} />
      ) : (
        open && (
          <ItemDialog
            {...(open.what === "edit" && { item: open.item })}
            day={asked.day || today}
            close={close}
            saved={(id) => setCurrent(String(id))}
          />
        )
      )}
    </>
  );
}

const COLUMNS: GridColumn<Item>[] = [
  {
    title: "Start",
    width: "12rem",
    cell: (item) => (
      <span className="tabular-nums">
        <span className="text-dim">{item.scheduled_procedure_step_start_date}</span>{" "}
        <span className="font-medium">{item.scheduled_procedure_step_start_time?.slice(0, 5)}</span>
      </span>
    ),
  },
  { title: "Status", width: "8.5rem", cell: ({ status }) => <State tone={STATUSES[status].tone}>{STATUSES[status].title}</State> },
  { title: "Patient", width: "minmax(11rem, 2fr)", cell: (item) => <Name name={item.patient_name} /> },
  { title: "Patient ID", width: "minmax(6rem, 0.8fr)", cell: (item) => item.patient_id ?? "" },
  { title: "Born", width: "8.8rem", cell: (item) => <span className="tabular-nums">{item.patient_birth_date}</span> },
  { title: "Sex", width: "3rem", cell: (item) => item.patient_sex ?? "" },
  { title: "Modality", width: "5.5rem", cell: (item) => item.modality && <Modality code={item.modality} /> },
  {
    title: "Description",
    width: "minmax(9rem, 1.6fr)",
    cell: (item) => item.scheduled_procedure_step_description ?? item.requested_procedure_description ?? "",
  },
  { title: "Stations", width: "minmax(6rem, 1fr)", cell: (item) => item.scheduled_station_ae_title.join(", ") },
  { title: "Accession", width: "minmax(6rem, 0.8fr)", cell: (item) => item.accession_number ?? "" },
];

function Name({ name }: { name: string | null | undefined }) {
  const [main, others] = shownName(name);
  return (
    <>
      <bdi className="font-medium">{main || "(no name)"}</bdi>
      {others.length > 0 && <bdi className="ml-2 text-dim">{others.join(" · ")}</bdi>}
    </>
  );
}

interface Asked {
  day: string;
  name: string;
  modality: string;
  station: string;
  status: Status | "all" | "";
}

/** Without a day in the address, today is meant. */
function readAsked(address: URLSearchParams, today: string): Asked {
  const text = (name: string) => address.get(name) ?? "";
  const status = text("status");
  return {
    day: address.get("day") === "any" ? "" : text("day") || today,
    name: text("name"),
    modality: text("modality"),
    station: text("station"),
    status: status === "all" || Object.hasOwn(STATUSES, status) ? (status as Asked["status"]) : "",
  };
}

function writeAsked({ day, ...asked }: Asked, today: string): URLSearchParams {
  const address = new URLSearchParams();
  if (day !== today) address.set("day", day || "any");
  for (const [name, value] of Object.entries(asked)) if (value !== "") address.set(name, value);
  return address;
}

function toQuery({ day, name, modality, station, status }: Asked) {
  return {
    limit: MOST,
    ...(day !== "" && { date_from: day, date_to: day }),
    ...(name.trim() !== "" && { patient_name: name.trim() }),
    ...(modality !== "" && { modality }),
    ...(station.trim() !== "" && { station: station.trim() }),
    ...(status === "all" ? { all: true } : status !== "" && { status: [status] }),
  };
}

interface PausedProps {
  value: string;
  change: (value: string) => void;
}

/** A text that is told when typing pauses. */
function usePaused({ value, change }: PausedProps): [string, (typed: string) => void] {
  const [typed, type] = useState<string>();
  const latest = useRef(change);
  useEffect(() => {
    latest.current = change;
  });
  useEffect(() => {
    if (typed === undefined) return;
    const timer = setTimeout(() => {
      latest.current(typed);
      type(undefined);
    }, TYPING_PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return [typed ?? value, type];
}

function PausedSearch({ reference, ...paused }: PausedProps & { reference: RefObject<HTMLInputElement | null> }) {
  const [value, change] = usePaused(paused);
  return (
    <SearchBox
      reference={reference}
      label="Search patient name"
      placeholder="Patient name"
      className="w-[12rem]"
      gridId="worklist"
      value={value}
      change={change}
    />
  );
}

function PausedText({ label, ...paused }: PausedProps & { label: string }) {
  const [value, change] = usePaused(paused);
  return (
    <input type="search" aria-label={label} placeholder={label} className="field w-[7rem]" value={value} onChange={(event) => change(event.target.value)} />
  );
}

function RemoveDialog({ item, close }: { item: Item; close: () => void }) {
  const queries = useQueryClient();
  const submit = async () => {
    await call("delete", "/worklist/{item_id}", { path: { item_id: item.item_id } });
    await queries.invalidateQueries({ queryKey: WORKLIST });
  };
  return (
    <FormDialog title="Remove this step?" action="Remove" isDangerous close={close} submit={submit}>
      <p>
        {shownName(item.patient_name)[0]}, {item.scheduled_procedure_step_description ?? item.modality},{" "}
        {item.scheduled_procedure_step_start_date} {item.scheduled_procedure_step_start_time?.slice(0, 5)}
      </p>
      <p className="text-dim">It is forgotten, as if it had never been ordered. What modalities reported of it stays. To keep a trace, cancel it instead.</p>
    </FormDialog>
  );
}
