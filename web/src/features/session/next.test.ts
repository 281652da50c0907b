import { expect, test } from "vitest";
import { safeNext } from "./next";

test.each(["/", "/studies/1.2.3", "/?name=doe", "/ohif/viewer?StudyInstanceUIDs=1.2"])("%s is kept", (path) => {
  expect(safeNext(path)).toBe(path);
});

test.each([null, "", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/login?next=/", "/\t/evil.example"])(
  "%s leads to the study list",
  (path) => {
    expect(safeNext(path)).toBe("/");
  },
);
