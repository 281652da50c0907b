import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Pencil, Plus, Power, Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import { FormDialog } from "../../ui/Dialog";
import { counted } from "../../ui/format";
import { Grid, type GridColumn, SkeletonRows } from "../../ui/Grid";
import { useKeys } from "../../ui/keys";
import { useNotices } from "../../ui/notices";
import { PageBar, PageFooter, Spacer, State, Tabs } from "../../ui/page";
import { EmptyState, ErrorState } from "../../ui/states";
import { useMay } from "../session/session";
import { TABS } from "./tabs";

const REFRESH_MS = 10_000;

interface SomeRule {
  rule_id: number;
  name: string;
  is_enabled: boolean;
}

interface Props<Rule extends SomeRule> {
  label: string;
  queryKey: string[];
  read: (signal: AbortSignal) => Promise<Rule[]>;
  replace: (rule: Rule) => Promise<unknown>;
  remove: (ruleId: number) => Promise<unknown>;
  inWords: (rule: Rule) => string;
  moreColumns?: GridColumn<Rule>[];
  icon: ReactNode;
  /** What rules of this kind are for, where there are none yet. */
  purpose: { title: string; text: string };
  /** What removing one leaves as it is. */
  remains: string;
  /** The dialog that adds a rule, or changes the one given. */
  form: (rule: Rule | undefined, close: () => void, saved: (ruleId: number) => void) => ReactNode;
}

type Open<Rule> = { what: "add" } | { what: "edit" | "remove"; rule: Rule };

/** Rules of one kind, each told as a sentence, with all that can be done to them. */
export function RuleList<Rule extends SomeRule>(props: Props<Rule>) {
  const { queryKey, inWords } = props;
  const mayChange = useMay("administer");
  const queries = useQueryClient();
  const { attempt } = useNotices();
  const [current, setCurrent] = useState<string>();
  const [open, setOpen] = useState<Open<Rule>>();
  const list = useQuery({ queryKey, queryFn: ({ signal }) => props.read(signal), refetchInterval: REFRESH_MS });
  const rules = list.data ?? [];
  const chosen = rules.find((rule) => String(rule.rule_id) === current);
  const add = () => setOpen({ what: "add" });
  const close = () => setOpen(undefined);
  const reload = () => queries.invalidateQueries({ queryKey });
  const turn = (rule: Rule) =>
    void attempt(async () => {
      await props.replace({ ...rule, is_enabled: !rule.is_enabled });
      await reload();
    });
  useKeys(mayChange ? { n: add } : {});
  const columns: GridColumn<Rule>[] = [
    { title: "State", width: "5rem", cell: (rule) => <State tone={rule.is_enabled ? "good" : "calm"}>{rule.is_enabled ? "on" : "off"}</State> },
    { title: "Name", width: "minmax(10rem, 1fr)", cell: (rule) => <span className="font-medium">{rule.name}</span> },
    { title: "What it does", width: "minmax(24rem, 4fr)", cell: inWords },
    ...(props.moreColumns ?? []),
  ];
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
          label={props.label}
          columns={columns}
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
              <EmptyState icon={props.icon} title={props.purpose.title}>
                <p>{props.purpose.text}</p>
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
      <PageFooter error={list.error} status={list.data ? `${counted(rules.length, "rule")}; all that fit count` : ""} keys={mayChange ? KEYS : KEYS.slice(0, 1)} />
      {open?.what === "remove" && (
        <FormDialog
          title={`Remove the rule ${open.rule.name}?`}
          action="Remove"
          isDangerous
          close={close}
          submit={async () => {
            await props.remove(open.rule.rule_id);
            await reload();
          }}
        >
          <p>{inWords(open.rule)}</p>
          <p className="text-dim">{props.remains}</p>
        </FormDialog>
      )}
      {(open?.what === "add" || open?.what === "edit") &&
        props.form(open.what === "edit" ? open.rule : undefined, close, (ruleId) => setCurrent(String(ruleId)))}
    </>
  );
}

const KEYS: [string, string][] = [
  ["j k", "move"],
  ["Enter", "edit"],
  ["x", "on, off"],
  ["Delete", "remove"],
  ["n", "add"],
];
