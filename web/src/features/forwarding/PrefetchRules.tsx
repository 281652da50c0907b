import { useQuery, useQueryClient } from "@tanstack/react-query";
import { History, Pencil, Plus, Power, Trash2 } from "lucide-react";
import { useState } from "react";
import { type Schemas, call } from "../../api/console";
import { FormDialog } from "../../ui/Dialog";
import { CheckField, ChipsField, FormSection, ListField, TextField } from "../../ui/form";
import { counted } from "../../ui/format";
import { Grid, type GridColumn, SkeletonRows } from "../../ui/Grid";
import { useKeys } from "../../ui/keys";
import { useNotices } from "../../ui/notices";
import { PageBar, PageFooter, Spacer, State, Tabs } from "../../ui/page";
import { EmptyState, ErrorState } from "../../ui/states";
import { REMOTES } from "../network/remote";
import { useMay } from "../session/session";
import { MODALITIES } from "../studies/filters";
import { TABS } from "./tabs";
import { prefetchInWords } from "./words";

type Rule = Schemas["KeptPrefetchRule"];
type Entry = Schemas["PrefetchEntry"];
type Open = { what: "add" } | { what: "edit" | "remove"; rule: Rule };

const PREFETCH = ["prefetch"];
const NEW_RULE: Entry = {
  name: "",
  sources: [],
  modalities: [],
  descriptions: [],
  station_ae_titles: [],
  is_same_modality: false,
  prior_modalities: [],
  prior_descriptions: [],
  prior_body_parts: [],
  years: 5,
  count: 3,
  is_enabled: true,
};

/** Which earlier studies come before the patient does. */
export function PrefetchRules() {
  const mayChange = useMay("administer");
  const queries = useQueryClient();
  const { attempt } = useNotices();
  const [current, setCurrent] = useState<string>();
  const [open, setOpen] = useState<Open>();
  const list = useQuery({
    queryKey: PREFETCH,
    queryFn: async ({ signal }) => (await call("get", "/prefetch/rules", { signal })).rules,
    refetchInterval: 10_000,
  });
  const rules = list.data ?? [];
  const chosen = rules.find((rule) => String(rule.rule_id) === current);
  const add = () => setOpen({ what: "add" });
  useKeys(mayChange ? { n: add } : {});
  const turn = ({ rule_id: ruleId, ...entry }: Rule) =>
    void attempt(async () => {
      const body = { ...entry, is_enabled: !entry.is_enabled };
      await call("put", "/prefetch/rules/{rule_id}", { path: { rule_id: ruleId }, body });
      await queries.invalidateQueries({ queryKey: PREFETCH });
    });
  const close = () => setOpen(undefined);

  return (
    <>
      <PageBar title="Forwarding">
        <Tabs label="Forwarding" tabs={TABS} />
        <Spacer />
        {mayChange && (
          <>
            <button type="button" className="button" disabled={!chosen} onClick={() => chosen && turn(chosen)}>
              <Power className="size-4" aria-hidden />
              {chosen && !chosen.is_enabled ? "Switch on" : "Switch off"}
            </button>
            <button type="button" className="button" disabled={!chosen} onClick={() => chosen && setOpen({ what: "edit", rule: chosen })}>
              <Pencil className="size-4" aria-hidden />
              Edit
            </button>
            <button type="button" className="button" disabled={!chosen} onClick={() => chosen && setOpen({ what: "remove", rule: chosen })}>
              <Trash2 className="size-4" aria-hidden />
              Remove
            </button>
            <button type="button" className="button button-primary" onClick={add}>
              <Plus className="size-4" aria-hidden />
              Add rule
            </button>
          </>
        )}
      </PageBar>
      <div className="flex min-h-0 flex-1 flex-col border-t border-line">
        <Grid
          id="prefetch"
          label="Prefetch rules"
          columns={COLUMNS}
          rows={rules}
          keyOf={(rule) => String(rule.rule_id)}
          minWidth="56rem"
          current={current}
          setCurrent={setCurrent}
          open={mayChange ? (rule) => setOpen({ what: "edit", rule }) : undefined}
          keys={mayChange ? { x: turn, Delete: (rule) => setOpen({ what: "remove", rule }) } : {}}
          placeholder={
            list.isPending ? (
              <SkeletonRows label="Loading rules" />
            ) : list.error ? (
              <ErrorState error={list.error} retry={() => void list.refetch()} />
            ) : (
              <EmptyState icon={<History className="size-6" aria-hidden />} title="No prefetch rules yet">
                <p>A prefetch rule pulls a patient's earlier studies from other archives when a procedure step is scheduled.</p>
                {mayChange && (
                  <button type="button" className="button button-primary" onClick={add}>
                    Add rule
                  </button>
                )}
              </EmptyState>
            )
          }
        />
      </div>
      <PageFooter
        status={list.data ? counted(rules.length, "rule") : ""}
        keys={[
          ["j k", "move"],
          ...(mayChange
            ? ([
                ["Enter", "edit"],
                ["x", "on, off"],
                ["Delete", "remove"],
                ["n", "add"],
              ] satisfies [string, string][])
            : []),
        ]}
      />
      {open?.what === "remove" ? (
        <RemoveDialog rule={open.rule} close={close} />
      ) : (
        open && <PrefetchDialog {...(open.what === "edit" && { rule: open.rule })} close={close} saved={(id) => setCurrent(String(id))} />
      )}
    </>
  );
}

const COLUMNS: GridColumn<Rule>[] = [
  { title: "State", width: "5rem", cell: (rule) => <State tone={rule.is_enabled ? "good" : "calm"}>{rule.is_enabled ? "on" : "off"}</State> },
  { title: "Name", width: "minmax(10rem, 1fr)", cell: (rule) => <span className="font-medium">{rule.name}</span> },
  { title: "What it does", width: "minmax(24rem, 4fr)", cell: (rule) => prefetchInWords(rule) },
];

function PrefetchDialog({ rule, close, saved }: { rule?: Rule; close: () => void; saved: (ruleId: number) => void }) {
  const queries = useQueryClient();
  const remotes = useQuery(REMOTES);
  const [entry, setEntry] = useState<Entry>(rule ?? NEW_RULE);
  const change = (part: Partial<Entry>) => setEntry({ ...entry, ...part });
  const archives = remotes.data?.filter((remote) => remote.host && remote.may_be_asked.includes("query")) ?? [];
  const choices = [...new Set([...archives.map((remote) => remote.ae_title), ...entry.sources])].sort();
  const submit = async () => {
    const body = { ...entry, name: entry.name.trim() };
    const kept = rule
      ? await call("put", "/prefetch/rules/{rule_id}", { path: { rule_id: rule.rule_id }, body })
      : await call("post", "/prefetch/rules", { body });
    await queries.invalidateQueries({ queryKey: PREFETCH });
    saved(kept.rule_id);
  };
  return (
    <FormDialog
      title={rule ? `Edit the rule ${rule.name}` : "Add a prefetch rule"}
      action={rule ? "Save" : "Add"}
      close={close}
      submit={submit}
      width="48rem"
    >
      <p aria-live="polite" className="rounded-lg border border-line bg-ground px-3.5 py-2.5 leading-relaxed">
        {prefetchInWords(entry)}
      </p>
      <div className="grid grid-cols-[1fr_auto] items-end gap-4">
        <TextField label="Name" value={entry.name} onChange={(name) => change({ name })} required maxLength={100} />
        <div className="pb-2">
          <CheckField label="On" checked={entry.is_enabled} onChange={(isEnabled) => change({ is_enabled: isEnabled })} />
        </div>
      </div>
      <ChipsField
        label="Sources"
        value={entry.sources}
        onChange={(sources) => change({ sources })}
        options={Object.fromEntries(choices.map((each) => [each, each]))}
        hint={remotes.data && choices.length === 0 ? "No remote in the network may be asked for studies." : ""}
      />
      <FormSection title="When such a step is scheduled">
        <div className="grid grid-cols-3 gap-3">
          <ListField label="Modality" value={entry.modalities} onChange={(modalities) => change({ modalities })} options={MODALITIES} placeholder="any" />
          <ListField label="Description" value={entry.descriptions} onChange={(descriptions) => change({ descriptions })} placeholder="any" />
          <ListField
            label="Station (AE title)"
            value={entry.station_ae_titles}
            onChange={(stations) => change({ station_ae_titles: stations })}
            placeholder="any"
          />
        </div>
      </FormSection>
      <FormSection title="Pull such earlier studies">
        <div className="grid grid-cols-3 gap-3">
          <ListField
            label="Prior modality"
            value={entry.prior_modalities}
            onChange={(modalities) => change({ prior_modalities: modalities })}
            options={MODALITIES}
            placeholder="any"
          />
          <ListField
            label="Prior description"
            value={entry.prior_descriptions}
            onChange={(descriptions) => change({ prior_descriptions: descriptions })}
            placeholder="any"
          />
          <ListField label="Prior body part" value={entry.prior_body_parts} onChange={(parts) => change({ prior_body_parts: parts })} placeholder="any" />
        </div>
        <CheckField
          label="Of the step's own modality only"
          checked={entry.is_same_modality}
          onChange={(isSame) => change({ is_same_modality: isSame })}
        />
        <div className="grid grid-cols-[10rem_12rem] gap-3">
          <TextField
            label="How many at most"
            type="number"
            min={1}
            value={String(entry.count)}
            onChange={(count) => change({ count: Number(count) })}
            required
            hint="From each source."
          />
          <TextField
            label="Not older than (years)"
            type="number"
            min={0.1}
            step="any"
            value={entry.years === null ? "" : String(entry.years)}
            onChange={(years) => change({ years: years === "" ? null : Number(years) })}
            hint="Empty: of any age."
          />
        </div>
      </FormSection>
    </FormDialog>
  );
}

function RemoveDialog({ rule, close }: { rule: Rule; close: () => void }) {
  const queries = useQueryClient();
  const submit = async () => {
    await call("delete", "/prefetch/rules/{rule_id}", { path: { rule_id: rule.rule_id } });
    await queries.invalidateQueries({ queryKey: PREFETCH });
  };
  return (
    <FormDialog title={`Remove the rule ${rule.name}?`} action="Remove" isDangerous close={close} submit={submit}>
      <p>{prefetchInWords(rule)}</p>
      <p className="text-dim">Pulls it has ordered go on.</p>
    </FormDialog>
  );
}
