import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { type Schemas, call } from "../../api/console";
import { FormDialog } from "../../ui/Dialog";
import { FormSection, ListField, SelectField, TextField } from "../../ui/form";
import { counted } from "../../ui/format";
import { State, type Tone } from "../../ui/page";
import { REMOTES } from "../network/remote";
import { MODALITIES } from "../studies/filters";
import {
  type FormField,
  type Item,
  type ItemForm,
  LISTS,
  MORE,
  ORDER,
  PATIENT,
  STATUSES,
  STEP,
  newForm,
  shownName,
  toEntry,
  toForm,
} from "./item";

export const WORKLIST = ["worklist"];

const STATUS_TITLES = Object.fromEntries(Object.entries(STATUSES).map(([status, { title }]) => [status, title])) as Record<
  Item["status"],
  string
>;

interface Props {
  /** The one to change; without it one is added. */
  item?: Item;
  day: string;
  close: () => void;
  saved: (itemId: number) => void;
}

/** Schedules a procedure step, or changes one; what was performed of it stands above. */
export function ItemDialog({ item, day, close, saved }: Props) {
  const queries = useQueryClient();
  const [before] = useState(() => item && toForm(item));
  const [form, setForm] = useState<ItemForm>(() => before ?? newForm(day, new Date()));
  const rare = [...MORE.map(({ name }) => form.texts[name]), ...form.lists.medical_alerts, ...form.lists.allergies];
  const [showsAll, showAll] = useState(() => item === undefined && rare.some(Boolean));
  const remotes = useQuery(REMOTES);
  const stations = remotes.data?.filter((remote) => remote.may_ask.includes("worklist")).map((remote) => remote.ae_title) ?? [];
  const list = (name: keyof typeof LISTS, options?: readonly string[]) => (
    <ListField
      label={LISTS[name]}
      value={form.lists[name]}
      onChange={(value) => setForm({ ...form, lists: { ...form.lists, [name]: value } })}
      {...(options && { options })}
    />
  );
  const fields = (given: FormField[]) =>
    given.map(({ name, label, type, options, hint, required }) => {
      const value = form.texts[name] ?? "";
      const onChange = (text: string) => setForm({ ...form, texts: { ...form.texts, [name]: text } });
      if (options) return <SelectField key={name} label={label} value={value} onChange={onChange} options={options} {...(hint && { hint })} />;
      return (
        <TextField
          key={name}
          label={label}
          value={value}
          onChange={onChange}
          type={type ?? "text"}
          step="any"
          required={required ?? false}
          {...(hint && { hint })}
          {...(name === "modality" && { list: [...MODALITIES] })}
        />
      );
    });

  const submit = async () => {
    const body = toEntry(form, before);
    const kept = item
      ? await call("patch", "/worklist/{item_id}", { path: { item_id: item.item_id }, body })
      : await call("post", "/worklist", { body });
    await queries.invalidateQueries({ queryKey: WORKLIST });
    saved(kept.item_id);
  };
  return (
    <FormDialog
      title={item ? `${shownName(item.patient_name)[0] || item.patient_id}: ${item.scheduled_procedure_step_description ?? item.modality}` : "Schedule a step"}
      action={item ? "Save" : "Schedule"}
      close={close}
      submit={submit}
      width="56rem"
    >
      {item && <Performed item={item} />}
      <div className="grid grid-cols-[2fr_1.2fr_1.2fr_1.1fr_1fr] gap-3">{fields(PATIENT)}</div>
      <FormSection title="Step">
        <div className="grid grid-cols-3 gap-3">
          {fields(STEP)}
          {list("scheduled_station_ae_title", stations)}
          {list("scheduled_station_name")}
          <SelectField label="Status" value={form.status} onChange={(status) => setForm({ ...form, status })} options={STATUS_TITLES} />
        </div>
      </FormSection>
      <FormSection title="Order">
        <div className="grid grid-cols-3 gap-3">{fields(ORDER)}</div>
      </FormSection>
      {showsAll ? (
        <FormSection title="More">
          <div className="grid grid-cols-3 gap-3">
            {fields(MORE)}
            {list("medical_alerts")}
            {list("allergies")}
          </div>
        </FormSection>
      ) : (
        <button type="button" className="button self-start" onClick={() => showAll(true)}>
          More to fill in
        </button>
      )}
    </FormDialog>
  );
}

const PERFORMED: Record<Schemas["PerformedStatus"], Tone> = { "IN PROGRESS": "busy", COMPLETED: "good", DISCONTINUED: "bad" };

/** What modalities reported of an item, as it comes. */
function Performed({ item }: { item: Item }) {
  const { data } = useQuery({
    queryKey: [...WORKLIST, "item", item.item_id],
    queryFn: ({ signal }) => call("get", "/worklist/{item_id}", { path: { item_id: item.item_id }, signal }),
    refetchInterval: 5_000,
  });
  if (!data || (data.performed_steps.length === 0 && !data.study_is_stored)) return null;
  return (
    <section aria-label="Performed" className="flex flex-col gap-1 rounded-lg border border-line bg-ground px-3.5 py-2.5">
      {data.performed_steps.map((step) => (
        <p key={step.sop_instance_uid} className="flex flex-wrap gap-x-3 tabular-nums">
          <State tone={PERFORMED[step.status]}>{step.status.toLowerCase()}</State>
          {step.performed_station_ae_title && <span>at {step.performed_station_ae_title}</span>}
          <span className="text-dim">
            {[step.performed_procedure_step_start_date, step.performed_procedure_step_start_time?.slice(0, 5)].filter(Boolean).join(" ")}
            {step.performed_procedure_step_end_time && ` to ${step.performed_procedure_step_end_time.slice(0, 5)}`}
          </span>
          <span className="text-dim">
            {counted(step.series_instance_uids.length, "series", "series")}, {counted(step.instance_count, "instance")}
          </span>
        </p>
      ))}
      {data.study_is_stored && (
        <Link to={`/studies/${data.study_instance_uid}`} className="self-start text-accent underline">
          The study is here
        </Link>
      )}
    </section>
  );
}
