import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Schemas, call } from "../../api/console";
import { FormDialog } from "../../ui/Dialog";
import { CheckField, ChipsField, FormSection, ListField, SelectField, TextField, orNull } from "../../ui/form";
import { REMOTES } from "../network/remote";
import { MODALITIES } from "../studies/filters";
import { FORWARDING, NEW_RULE, type Rule, type RuleEntry, entryOf } from "./data";
import { PATTERNS, PATTERN_LISTS, type PatternList, WEEKDAYS, ruleInWords } from "./words";

type Condition = Schemas["ConditionEntry"];

const TIMINGS: Record<Schemas["RuleTiming"], string> = {
  arrival: "Each instance as it comes",
  stable: "A study once it is quiet",
};
const OUTSIDE: Record<Schemas["OutsideWindow"], string> = {
  skip: "is left alone",
  wait: "waits for these hours",
};
const OFFERED: Partial<Record<PatternList, readonly string[]>> = {
  modalities: MODALITIES,
  origins: ["dimse", "stow", "import", "demo"],
};
/** The lists asked for most; the others are shown on demand, or when something stands in them. */
const USUAL = new Set<PatternList>(["modalities", "study_descriptions", "calling_ae_titles", "sites"]);

/** Adds a forwarding rule, or changes the one given; what it does is said while one fills it in. */
export function RuleDialog({ rule, close, saved }: { rule?: Rule; close: () => void; saved: (ruleId: number) => void }) {
  const queries = useQueryClient();
  const remotes = useQuery(REMOTES);
  const [entry, setEntry] = useState<RuleEntry>(rule ? entryOf(rule) : NEW_RULE);
  const { condition } = entry;
  const hasRare = PATTERN_LISTS.some((list) => !USUAL.has(list) && condition[list].length > 0);
  const [showsAll, showAll] = useState(hasRare);
  const change = (part: Partial<RuleEntry>) => setEntry({ ...entry, ...part });
  const require = (part: Partial<Condition>) => change({ condition: { ...condition, ...part } });
  const takers = remotes.data?.filter((remote) => remote.host && remote.may_be_asked.includes("store")) ?? [];
  // What is chosen stays to be seen, whatever has become of its entry.
  const choices = [...new Set([...takers.map((remote) => remote.ae_title), ...entry.destinations])].sort();

  const submit = async () => {
    const body = { ...entry, name: entry.name.trim() };
    const kept = rule
      ? await call("put", "/forwarding/rules/{rule_id}", { path: { rule_id: rule.rule_id }, body })
      : await call("post", "/forwarding/rules", { body });
    await queries.invalidateQueries({ queryKey: FORWARDING });
    saved(kept.rule_id);
  };
  return (
    <FormDialog
      title={rule ? `Edit the rule ${rule.name}` : "Add a forwarding rule"}
      action={rule ? "Save" : "Add"}
      close={close}
      submit={submit}
      width="52rem"
    >
      <p aria-live="polite" className="rounded-lg border border-line bg-ground px-3.5 py-2.5 leading-relaxed">
        {ruleInWords(entry)}
      </p>
      <div className="grid grid-cols-[1fr_auto] items-end gap-4">
        <TextField label="Name" value={entry.name} onChange={(name) => change({ name })} required maxLength={100} />
        <div className="pb-2">
          <CheckField label="On" checked={entry.is_enabled} onChange={(isEnabled) => change({ is_enabled: isEnabled })} />
        </div>
      </div>
      <ChipsField
        label="Destinations"
        value={entry.destinations}
        onChange={(destinations) => change({ destinations })}
        options={Object.fromEntries(choices.map((each) => [each, each]))}
        hint={remotes.data && choices.length === 0 ? "No remote in the network takes instances." : ""}
      />
      <div className="grid grid-cols-[1fr_10rem_7rem] gap-3">
        <SelectField label="When" value={entry.timing} onChange={(timing) => change({ timing })} options={TIMINGS} />
        <TextField
          label="Quiet for (seconds)"
          type="number"
          min={1}
          step="any"
          value={entry.timing === "stable" ? String(entry.stable_s) : ""}
          onChange={(seconds) => change({ stable_s: Number(seconds) })}
          required={entry.timing === "stable"}
          disabled={entry.timing !== "stable"}
        />
        <TextField
          label="Priority"
          type="number"
          min={-1000}
          max={1000}
          value={String(entry.priority)}
          onChange={(priority) => change({ priority: Number(priority) })}
        />
      </div>
      <FormSection title="Only what fits">
        <p className="text-[0.92em] text-faint">
          Enter adds a pattern. * and ? stand for any characters and for one; with ! in front it must not fit. Of several in one box one has
          to fit; all boxes have to.
        </p>
        <div className="grid grid-cols-2 gap-3">
          {PATTERN_LISTS.filter((list) => showsAll || USUAL.has(list)).map((list) => (
            <ListField
              key={list}
              label={PATTERNS[list][0]}
              value={condition[list]}
              onChange={(patterns) => require({ [list]: patterns })}
              placeholder="any"
              {...(OFFERED[list] && { options: OFFERED[list] })}
            />
          ))}
        </div>
        {!showsAll && (
          <button type="button" className="button self-start" onClick={() => showAll(true)}>
            More to ask for
          </button>
        )}
      </FormSection>
      <FormSection title="Hours">
        <CheckField
          label="At certain hours only"
          checked={Boolean(condition.window)}
          onChange={(isOn) => require({ window: isOn ? { start: "20:00", end: "06:00", weekdays: [] } : null })}
        />
        {condition.window && <Hours condition={condition} window={condition.window} require={require} />}
      </FormSection>
      <FormSection title="Encoding">
        <TextField
          label="Send in this transfer syntax"
          value={entry.transfer_syntax_uid ?? ""}
          onChange={(uid) => change({ transfer_syntax_uid: orNull(uid) })}
          placeholder="as it is stored, or as the destination prefers"
          hint="A UID; where the destination takes it."
        />
      </FormSection>
    </FormDialog>
  );
}

interface HoursProps {
  condition: Condition;
  window: Schemas["WindowEntry"];
  require: (part: Partial<Condition>) => void;
}

function Hours({ condition, window, require }: HoursProps) {
  const change = (part: Partial<Schemas["WindowEntry"]>) => require({ window: { ...window, ...part } });
  return (
    <>
      <div className="grid grid-cols-[7rem_7rem_1fr] gap-3">
        <TextField label="From" type="time" value={window.start.slice(0, 5)} onChange={(start) => change({ start })} required />
        <TextField label="To" type="time" value={window.end.slice(0, 5)} onChange={(end) => change({ end })} required />
        <SelectField
          label="What comes at other times"
          value={condition.outside_window}
          onChange={(outside) => require({ outside_window: outside })}
          options={OUTSIDE}
        />
      </div>
      <ChipsField
        label="On days that begin"
        value={window.weekdays.map(String) as (keyof typeof WEEKDAYS)[]}
        onChange={(days) => change({ weekdays: days.map(Number).sort() })}
        options={WEEKDAYS}
        hint="None: every day. Hours are those of the place where Hilum runs."
      />
    </>
  );
}
