import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Pencil, Plus, Power, Route, Trash2 } from "lucide-react";
import { useState } from "react";
import { call } from "../../api/console";
import { FormDialog } from "../../ui/Dialog";
import { counted } from "../../ui/format";
import { Grid, type GridColumn, SkeletonRows } from "../../ui/Grid";
import { useKeys } from "../../ui/keys";
import { useNotices } from "../../ui/notices";
import { PageBar, PageFooter, Spacer, State, Tabs } from "../../ui/page";
import { EmptyState, ErrorState } from "../../ui/states";
import { useMay } from "../session/session";
import { RuleDialog } from "./RuleDialog";
import { FORWARDING, type Rule, entryOf } from "./data";
import { TABS } from "./tabs";
import { ruleInWords } from "./words";

type Open = { what: "add" } | { what: "edit" | "remove"; rule: Rule };

/** What goes on by itself, and where to. */
export function Rules() {
  const mayChange = useMay("administer");
  const queries = useQueryClient();
  const { attempt } = useNotices();
  const [current, setCurrent] = useState<string>();
  const [open, setOpen] = useState<Open>();
  const list = useQuery({
    queryKey: [...FORWARDING, "rules"],
    queryFn: async ({ signal }) => (await call("get", "/forwarding/rules", { signal })).rules,
    refetchInterval: 10_000,
  });
  // All rules that fit count, whatever their order; the more urgent are read first.
  const rules = [...(list.data ?? [])].sort((a, b) => b.priority - a.priority || a.name.localeCompare(b.name));
  const chosen = rules.find((rule) => String(rule.rule_id) === current);
  const add = () => setOpen({ what: "add" });
  useKeys(mayChange ? { n: add } : {});
  const turn = (rule: Rule) =>
    void attempt(async () => {
      const body = { ...entryOf(rule), is_enabled: !rule.is_enabled };
      await call("put", "/forwarding/rules/{rule_id}", { path: { rule_id: rule.rule_id }, body });
      await queries.invalidateQueries({ queryKey: FORWARDING });
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
          id="rules"
          label="Forwarding rules"
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
              <EmptyState icon={<Route className="size-6" aria-hidden />} title="No rules yet">
                <p>A rule lets what comes in go on to other systems by itself.</p>
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
        status={list.data ? `${counted(rules.length, "rule")}; all that fit count` : ""}
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
        open && <RuleDialog {...(open.what === "edit" && { rule: open.rule })} close={close} saved={(id) => setCurrent(String(id))} />
      )}
    </>
  );
}

const COLUMNS: GridColumn<Rule>[] = [
  { title: "State", width: "5rem", cell: (rule) => <State tone={rule.is_enabled ? "good" : "calm"}>{rule.is_enabled ? "on" : "off"}</State> },
  { title: "Name", width: "minmax(10rem, 1fr)", cell: (rule) => <span className="font-medium">{rule.name}</span> },
  { title: "What it does", width: "minmax(24rem, 4fr)", cell: (rule) => ruleInWords(rule) },
  { title: "Priority", width: "5.5rem", isNumber: true, cell: (rule) => rule.priority },
];

function RemoveDialog({ rule, close }: { rule: Rule; close: () => void }) {
  const queries = useQueryClient();
  const submit = async () => {
    await call("delete", "/forwarding/rules/{rule_id}", { path: { rule_id: rule.rule_id } });
    await queries.invalidateQueries({ queryKey: FORWARDING });
  };
  return (
    <FormDialog title={`Remove the rule ${rule.name}?`} action="Remove" isDangerous close={close} submit={submit}>
      <p>{ruleInWords(rule)}</p>
      <p className="text-dim">What it has ordered already is still sent.</p>
    </FormDialog>
  );
}
