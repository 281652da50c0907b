import { Route } from "lucide-react";
import { call } from "../../api/console";
import { RuleDialog } from "./RuleDialog";
import { RuleList } from "./RuleList";
import { FORWARDING, type Rule, entryOf } from "./data";
import { ruleInWords } from "./words";

/** What goes on by itself, and where to. */
export function Rules() {
  return (
    <RuleList<Rule>
      label="Forwarding rules"
      queryKey={[...FORWARDING, "rules"]}
      read={async (signal) => {
        const { rules } = await call("get", "/forwarding/rules", { signal });
        // All rules that fit count, whatever their order; the more urgent are read first.
        return rules.sort((a, b) => b.priority - a.priority || a.name.localeCompare(b.name));
      }}
      replace={(rule) => call("put", "/forwarding/rules/{rule_id}", { path: { rule_id: rule.rule_id }, body: entryOf(rule) })}
      remove={(ruleId) => call("delete", "/forwarding/rules/{rule_id}", { path: { rule_id: ruleId } })}
      inWords={ruleInWords}
      moreColumns={[{ title: "Priority", width: "5.5rem", isNumber: true, cell: (rule) => rule.priority }]}
      icon={<Route className="size-6" aria-hidden />}
      purpose={{ title: "No rules yet", text: "A rule lets what comes in go on to other systems by itself." }}
      remains="What it has ordered already is still sent."
      form={(rule, close, saved) => <RuleDialog {...(rule && { rule })} close={close} saved={saved} />}
    />
  );
}
