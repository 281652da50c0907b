import { expect, test } from "vitest";
import { address } from "./console";

test("values in the path are quoted, AE titles with slashes too", () => {
  expect(address("/remotes/{ae_title}/echo", { ae_title: "A/B 1" }, {})).toBe("/api/remotes/A%2FB%201/echo");
});

test("lists are repeated and what is not given is left out", () => {
  expect(address("/jobs", {}, { state: ["failed", "held"], kind: undefined, limit: 10 })).toBe(
    "/api/jobs?state=failed&state=held&limit=10",
  );
});
