import { useQuery, useQueryClient } from "@tanstack/react-query";
import { History } from "lucide-react";
import { useState } from "react";
import { type Schemas, call } from "../../api/console";
import { FormDialog } from "../../ui/Dialog";
import { CheckField, ChipsField, FormSection, ListField, TextField } from "../../ui/form";
import { REMOTES } from "../network/remote";
import { MODALITIES } from "../studies/filters";
import { RuleList } from "./RuleList";
import { prefetchInWords } from "./words";

type Rule = Schemas["KeptPrefetchRule"];
type Entry = Schemas["PrefetchEntry"];

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
  return (
    <RuleList<Rule>
      label="Prefetch rules"
      queryKey={PREFETCH}
      read={async (signal) => (await call("get", "/prefetch/rules", { signal })).rules}
      replace={(rule) => call("put", "/prefetch/rules/{rule_id}", { path: { rule_id: rule.rule_id }, body: entryOf(rule) })}
      remove={(ruleId) => call("delete", "/prefetch/rules/{rule_id}", { path: { rule_id: ruleId } })}
      inWords={prefetchInWords}
      icon={<History className="size-6" aria-hidden />}
      purpose={{
        title: "No prefetch rules yet",
        text: "A prefetch rule pulls a patient's earlier studies from other archives when a procedure step is scheduled.",
      }}
      remains="Pulls it has ordered go on."
      form={(rule, close, saved) => <PrefetchDialog {...(rule && { rule })} close={close} saved={saved} />}
    />
  );
}

function entryOf({ rule_id: _, ...entry }: Rule): Entry {
  return entry;
}

function PrefetchDialog({ rule, close, saved }: { rule?: Rule; close: () => void; saved: (ruleId: number) => void }) {
  const queries = useQueryClient();
  const remotes = useQuery(REMOTES);
  const [entry, setEntry] = useState<Entry>(rule ? entryOf(rule) : NEW_RULE);
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
