import { expect, test } from "vitest";
import { counted, formatMoment, formatSpan } from "./format";

test.each([
  [12, "12 ms"],
  [-5, "0 ms"],
  [1_600, "2 s"],
  [119_000, "119 s"],
  [150_000, "3 min"],
  [3 * 3_600_000, "3 h"],
  [72 * 3_600_000, "3 d"],
])("%d ms is written %s", (milliseconds, written) => {
  expect(formatSpan(milliseconds)).toBe(written);
});

test("one is not several", () => {
  expect([counted(0, "study", "studies"), counted(1, "study", "studies"), counted(1200, "job")]).toEqual([
    "0 studies",
    "1 study",
    "1,200 jobs",
  ]);
});

test("a moment is written in local time, and nothing for none", () => {
  const moment = new Date(2026, 0, 5, 8, 3, 9);
  expect(formatMoment(moment.toISOString())).toBe("2026-01-05 08:03");
  expect(formatMoment(null)).toBe("");
});
