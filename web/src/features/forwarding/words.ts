/** What rules do and how things stand, in words. */
import type { Schemas } from "../../api/console";
import type { Tone } from "../../ui/page";
import { formatSpan } from "../../ui/format";
import type { Destination, ForwardState, RuleEntry } from "./data";

export const FORWARD_STATES: Record<ForwardState, { title: string; tone: Tone }> = {
  waiting: { title: "waiting", tone: "calm" },
  sending: { title: "sending", tone: "busy" },
  sent: { title: "sent", tone: "good" },
  failed: { title: "failed", tone: "bad" },
  cancelled: { title: "cancelled", tone: "calm" },
};

type Condition = Schemas["ConditionEntry"];
type Counts = Readonly<Record<string, number>>;

/** The lists of a condition: what the form calls each, and how a sentence does. */
export const PATTERNS = {
  modalities: ["Modality", "the modality is"],
  study_descriptions: ["Study description", "the study description is"],
  series_descriptions: ["Series description", "the series description is"],
  body_parts: ["Body part", "the body part is"],
  calling_ae_titles: ["Sender (AE title)", "the sender is"],
  sites: ["Sender's site", "the sender's site is"],
  station_names: ["Station name", "the station is"],
  institution_names: ["Institution", "the institution is"],
  called_ae_titles: ["Our AE title it was sent to", "it was sent to"],
  origins: ["Way in", "it came by"],
  sop_class_uids: ["SOP class UID", "the SOP class is"],
  transfer_syntax_uids: ["Transfer syntax UID", "it is stored in"],
} as const satisfies Partial<Record<keyof Condition, [string, string]>>;

export type PatternList = keyof typeof PATTERNS;

export const PATTERN_LISTS = Object.keys(PATTERNS) as PatternList[];

export const WEEKDAYS = { "0": "Mon", "1": "Tue", "2": "Wed", "3": "Thu", "4": "Fri", "5": "Sat", "6": "Sun" };

/** A rule as one sentence. */
export function ruleInWords(rule: RuleEntry): string {
  const { condition } = rule;
  const conditions = conditionsInWords(
    PATTERN_LISTS.map((list) => [PATTERNS[list][1], condition[list]] as const),
  );
  const stable = rule.timing === "stable";
  const when = stable ? `Once a study has been quiet for ${formatSpan(rule.stable_s * 1000)}` : "As it comes";
  const what = stable ? "each of its instances" : "each instance";
  const where = rule.destinations.length > 0 ? `goes to ${joined(rule.destinations, "and")}` : "goes nowhere yet";
  const parts = [`${when}, ${what}${conditions === "" ? "" : ` of which ${conditions}`} ${where}`];
  if (rule.transfer_syntax_uid) parts.push(`in ${rule.transfer_syntax_uid} where that is taken`);
  if (rule.priority > 0) parts.push("before what is less urgent");
  if (rule.priority < 0) parts.push("after what is more urgent");
  return `${parts.join(", ")}.${windowInWords(condition)}`;
}

function windowInWords({ window, outside_window: outside }: Condition): string {
  if (!window) return "";
  const days = window.weekdays.map((day) => WEEKDAYS[String(day) as keyof typeof WEEKDAYS]);
  const hours = `${window.start.slice(0, 5)} and ${window.end.slice(0, 5)}`;
  const when = `between ${hours}${days.length > 0 ? `, beginning ${joined(days, "or")}` : ""}`;
  return outside === "wait" ? ` It is sent ${when} only; what comes at other times waits.` : ` This holds ${when} only.`;
}

/** Conditions, all of which have to hold, without those that ask for nothing. */
export function conditionsInWords(lists: readonly (readonly [subject: string, patterns: readonly string[]])[]): string {
  return joined(
    lists.flatMap(([subject, patterns]) => {
      const wanted = patterns.filter((pattern) => !pattern.startsWith("!"));
      const unwanted = patterns.filter((pattern) => pattern.startsWith("!")).map((pattern) => pattern.slice(1));
      const parts = [];
      if (wanted.length > 0) parts.push(`${subject} ${joined(wanted, "or")}`);
      if (unwanted.length > 0) parts.push(`${wanted.length > 0 ? "but" : subject} not ${joined(unwanted, "or")}`);
      return parts.length > 0 ? [parts.join(" ")] : [];
    }),
    "and",
  );
}

export function joined(words: readonly string[], last: string): string {
  if (words.length <= 1) return words[0] ?? "";
  return `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`;
}

/** How a destination stands on the whole. */
export function destinationState(destination: Destination, now: number): { title: string; tone: Tone } {
  const { instances } = destination;
  if (!destination.is_registered) return { title: "not registered", tone: "bad" };
  if (destination.is_held) return { title: "held", tone: "warning" };
  const rest = destination.rests_until ? Date.parse(destination.rests_until) - now : 0;
  if (rest > 0) return { title: `tried again in ${formatSpan(rest)}`, tone: "warning" };
  if (instances.sending) return { title: "sending", tone: "busy" };
  if (instances.waiting) return { title: "waiting", tone: "calm" };
  if (instances.failed) return { title: "some failed", tone: "bad" };
  return { title: "idle", tone: "good" };
}

/** Bytes in a second, as one writes them. */
export function rateInWords(bytesPerS: number | null): string {
  return bytesPerS === null ? "no bound" : `${(bytesPerS / 1000).toLocaleString("en", { maximumFractionDigits: 1 })} kB/s`;
}

export function sumOf(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Whether nothing more happens by itself. */
export function isQuiet(counts: Counts): boolean {
  return !counts.waiting && !counts.sending;
}

type PrefetchEntry = Schemas["PrefetchEntry"];

/** A prefetch rule as one sentence. */
export function prefetchInWords(rule: PrefetchEntry): string {
  const step = conditionsInWords([
    ["the modality is", rule.modalities],
    ["the description is", rule.descriptions],
    ["the station is", rule.station_ae_titles],
  ]);
  const prior = conditionsInWords([
    ["the modality is", rule.prior_modalities],
    ["the description is", rule.prior_descriptions],
    ["the body part is", rule.prior_body_parts],
  ]);
  const what = [
    `the newest ${rule.count === 1 ? "study" : `${rule.count} studies`} of the patient`,
    rule.is_same_modality && "of the same modality",
    rule.years !== null && rule.years !== undefined && `not older than ${rule.years} ${rule.years === 1 ? "year" : "years"}`,
    prior !== "" && `of which ${prior}`,
  ].filter(Boolean);
  const from = rule.sources.length > 0 ? `from ${joined(rule.sources, "and")}` : "from nowhere yet";
  return `When a step is scheduled${step === "" ? "" : ` and ${step}`}, ${what.join(", ")} ${rule.count === 1 ? "is" : "are"} pulled ${from}.`;
}
