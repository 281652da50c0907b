import type { Schemas } from "../../api/console";

/** All that is asked of forwarding; what changes one thing may change all. */
export const FORWARDING = ["forwarding"];

export type Rule = Schemas["KeptRule"];
export type RuleEntry = Schemas["RuleEntry"];
export type Destination = Schemas["DestinationEntry"];
export type ForwardedStudy = Schemas["StudyEntry"];
export type ForwardState = Schemas["ForwardState"];

/** A kept rule as one sends it back: without its number. */
export function entryOf({ rule_id: _, ...entry }: Rule): RuleEntry {
  return entry;
}

/** A rule that asks for nothing yet. */
export const NEW_RULE: RuleEntry = {
  name: "",
  destinations: [],
  condition: {
    calling_ae_titles: [],
    called_ae_titles: [],
    sites: [],
    origins: [],
    modalities: [],
    sop_class_uids: [],
    transfer_syntax_uids: [],
    body_parts: [],
    study_descriptions: [],
    series_descriptions: [],
    station_names: [],
    institution_names: [],
    window: null,
    outside_window: "skip",
  },
  timing: "arrival",
  stable_s: 60,
  priority: 0,
  transfer_syntax_uid: null,
  is_enabled: true,
};
