import { expect, test } from "vitest";
import { NEW_RULE, type Destination } from "./data";
import { conditionsInWords, destinationState, isQuiet, joined, prefetchInWords, rateInWords, ruleInWords } from "./words";

test("a rule that asks for nothing sends everything at once", () => {
  expect(ruleInWords({ ...NEW_RULE, destinations: ["VAULT"] })).toBe("As it comes, each instance goes to VAULT.");
  expect(ruleInWords(NEW_RULE)).toBe("As it comes, each instance goes nowhere yet.");
});

test("a rule says all it asks for and does", () => {
  const condition = {
    ...NEW_RULE.condition,
    modalities: ["CT", "MR"],
    study_descriptions: ["*thorax*", "!*low dose*"],
    sites: ["!North"],
    window: { start: "20:00:00", end: "06:30:00", weekdays: [0, 4] },
    outside_window: "wait" as const,
  };
  const rule = { ...NEW_RULE, condition, destinations: ["AI", "VAULT", "PACS2"], timing: "stable" as const, stable_s: 300, priority: 5 };
  expect(ruleInWords(rule)).toBe(
    "Once a study has been quiet for 5 min, each of its instances of which the modality is CT or MR, " +
      "the study description is *thorax* but not *low dose* and the sender's site is not North goes to AI, VAULT and PACS2, " +
      "before what is less urgent. It is sent between 20:00 and 06:30, beginning Mon or Fri only; what comes at other times waits.",
  );
});

test("hours outside of which nothing is done are told so", () => {
  const window = { start: "08:00:00", end: "17:00:00", weekdays: [] };
  const rule = { ...NEW_RULE, destinations: ["A"], condition: { ...NEW_RULE.condition, window } };
  expect(ruleInWords(rule)).toBe("As it comes, each instance goes to A. This holds between 08:00 and 17:00 only.");
});

test("conditions that ask for nothing are left out", () => {
  expect(conditionsInWords([["a is", []], ["b is", ["!x", "!y"]]])).toBe("b is not x or y");
  expect([joined([], "or"), joined(["a"], "or"), joined(["a", "b", "c"], "or")]).toEqual(["", "a", "a, b or c"]);
});

const IDLE: Destination = {
  destination: "A",
  instances: {},
  jobs: {},
  is_registered: true,
  is_held: false,
  concurrency: 2,
  max_bytes_per_s: null,
  rests_until: null,
  oldest_queued_at: null,
  error: null,
};

test.each([
  [{}, "idle"],
  [{ instances: { failed: 1 } }, "some failed"],
  [{ instances: { failed: 1, waiting: 2 } }, "waiting"],
  [{ instances: { waiting: 2, sending: 1 } }, "sending"],
  [{ instances: { waiting: 2 }, rests_until: "2026-01-01T00:00:30Z" }, "tried again in 30 s"],
  [{ instances: { waiting: 2 }, rests_until: "2025-12-31T00:00:00Z" }, "waiting"],
  [{ instances: { sending: 2 }, is_held: true }, "held"],
  [{ is_registered: false, is_held: true }, "not registered"],
])("a destination with %j is %s", (part, title) => {
  expect(destinationState({ ...IDLE, ...part }, Date.parse("2026-01-01T00:00:00Z")).title).toBe(title);
});

test("rates and rest", () => {
  expect([rateInWords(null), rateInWords(2_500_000)]).toEqual(["no bound", "2,500 kB/s"]);
  expect([isQuiet({ sent: 3, failed: 1 }), isQuiet({ sent: 3, waiting: 1 }), isQuiet({ sending: 1 })]).toEqual([true, false, false]);
});

test("a prefetch rule is a sentence", () => {
  const rule = {
    name: "x",
    sources: ["ARCHIVE2"],
    modalities: ["CT"],
    descriptions: [],
    station_ae_titles: [],
    is_same_modality: false,
    prior_modalities: ["CT", "CR"],
    prior_descriptions: [],
    prior_body_parts: ["CHEST"],
    years: 5,
    count: 3,
    is_enabled: true,
  };
  expect(prefetchInWords(rule)).toBe(
    "When a step is scheduled and the modality is CT, the newest 3 studies of the patient, not older than 5 years, " +
      "of which the modality is CT or CR and the body part is CHEST are pulled from ARCHIVE2.",
  );
  expect(prefetchInWords({ ...rule, modalities: [], prior_modalities: [], prior_body_parts: [], years: null, count: 1, is_same_modality: true })).toBe(
    "When a step is scheduled, the newest study of the patient, of the same modality is pulled from ARCHIVE2.",
  );
});
