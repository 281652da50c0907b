import { describe, expect, test } from "vitest";
import { type Filters, NO_FILTERS, isNarrowed, readFilters, toQueries, writeFilters } from "./filters";

const TODAY = new Date(2026, 2, 3, 9, 30);

function asked(filters: Partial<Filters>): Record<string, string>[] {
  return toQueries({ ...NO_FILTERS, ...filters }, TODAY).map((query) => Object.fromEntries(query));
}

describe("the address", () => {
  test("keeps every filter", () => {
    const filters: Filters = {
      quick: "a b",
      name: "Müller",
      id: "7",
      description: "knee",
      accession: "A1",
      referring: "Roe",
      modalities: ["CT", "MR"],
      period: "week",
      from: "2024-01-01",
      to: "2024-02-01",
      sort: "PatientName",
      descending: true,
    };
    expect(readFilters(new URLSearchParams(writeFilters(filters).toString()))).toEqual(filters);
  });
  test("is empty for the plain list", () => {
    expect(writeFilters(NO_FILTERS).toString()).toBe("");
    expect(readFilters(new URLSearchParams())).toEqual(NO_FILTERS);
  });
  test("with nonsense in it gives the plain list", () => {
    expect(readFilters(new URLSearchParams("sort=-Nothing&period=toString"))).toEqual(NO_FILTERS);
  });
  test("sorting alone narrows nothing", () => {
    expect(isNarrowed({ ...NO_FILTERS, sort: "PatientID" })).toBe(false);
    expect(isNarrowed({ ...NO_FILTERS, modalities: ["CT"] })).toBe(true);
  });
});

describe("the queries", () => {
  test("newest first is the plain list", () => {
    expect(asked({})).toEqual([{ sort: "-StudyDate" }]);
  });
  test("texts are searched anywhere in the value", () => {
    expect(asked({ name: " doe, john " })[0]).toMatchObject({ PatientName: "*doe*john*" });
  });
  test("wildcards of one's own are left alone", () => {
    expect(asked({ id: "7?1*" })[0]).toMatchObject({ PatientID: "7?1*" });
  });
  test("quick search asks for name, number and accession side by side", () => {
    const queries = asked({ quick: "77", modalities: ["CT"] });
    expect(queries.map((query) => Object.keys(query).filter((key) => query[key] === "*77*"))).toEqual([
      ["PatientName"],
      ["PatientID"],
      ["AccessionNumber"],
    ]);
    expect(queries.every((query) => query.ModalitiesInStudy === "CT")).toBe(true);
  });
  test("quick search asks for numbers as typed and in capitals", () => {
    expect(asked({ quick: "ab-7" }).flatMap((query) => [query.PatientName, query.PatientID, query.AccessionNumber])).toEqual(
      expect.arrayContaining(["*ab-7*", "*AB-7*"]),
    );
    expect(asked({ quick: "ab-7" })).toHaveLength(5);
  });
  test("quick search leaves a column alone that has a filter of its own", () => {
    expect(asked({ quick: "77", name: "doe" })).toHaveLength(2);
  });
  test.each([
    ["today", "20260303"],
    ["yesterday", "20260302"],
    ["week", "20260225-"],
    ["month", "20260202-"],
  ] as const)("period %s is %s", (period, range) => {
    expect(asked({ period })[0]).toMatchObject({ StudyDate: range });
  });
  test("a range of dates may be open at either end", () => {
    expect(asked({ from: "2024-01-05" })[0]).toMatchObject({ StudyDate: "20240105-" });
    expect(asked({ to: "2024-01-05" })[0]).toMatchObject({ StudyDate: "-20240105" });
  });
  test("several modalities are alternatives", () => {
    expect(asked({ modalities: ["CT", "MR"] })[0]).toMatchObject({ ModalitiesInStudy: "CT\\MR" });
  });
});
