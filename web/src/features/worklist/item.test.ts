import { expect, test } from "vitest";
import { type Item, dayAfter, dicomName, newForm, shownName, toEntry, toForm } from "./item";

const ITEM = {
  item_id: 1,
  status: "SCHEDULED",
  created_at: "",
  changed_at: "",
  attributes: {},
  patient_name: "Doe^Jane",
  patient_id: "4711",
  modality: "CT",
  patient_weight: 62.5,
  pregnancy_status: 4,
  scheduled_procedure_step_start_date: "2026-01-05",
  scheduled_procedure_step_start_time: "10:15:00",
  scheduled_station_ae_title: ["CT1", "CT2"],
  scheduled_station_name: [],
  medical_alerts: [],
  allergies: [],
} satisfies Item;

test("a new item has what was filled in and nothing else", () => {
  const form = newForm("2026-01-05", new Date(2026, 0, 5, 8, 3));
  form.texts.patient_name = "Doe, Jane";
  form.lists.scheduled_station_ae_title = ["CT1"];
  expect(toEntry(form, undefined)).toEqual({
    patient_name: "Doe^Jane",
    scheduled_procedure_step_start_date: "2026-01-05",
    scheduled_procedure_step_start_time: "08:03",
    scheduled_station_ae_title: ["CT1"],
    status: "SCHEDULED",
  });
});

test("a change holds what differs, and nothing takes away", () => {
  const before = toForm(ITEM);
  expect(toEntry(before, before)).toEqual({});
  const after = { ...before, texts: { ...before.texts, patient_id: "", patient_weight: "70", pregnancy_status: "2" } };
  expect(toEntry(after, before)).toEqual({ patient_id: null, patient_weight: 70, pregnancy_status: 2 });
  const moved = { ...before, lists: { ...before.lists, scheduled_station_ae_title: [] }, status: "CANCELED" as const };
  expect(toEntry(moved, before)).toEqual({ scheduled_station_ae_title: [], status: "CANCELED" });
});

test.each([
  ["Doe, Jane", "Doe^Jane"],
  ["Doe, Jane Mary, Dr", "Doe^Jane Mary Dr"],
  ["Doe", "Doe"],
  ["Doe^Jane^^Dr", "Doe^Jane^^Dr"],
  ["山田^太郎", "山田^太郎"],
])("%s is kept as %s", (typed, kept) => {
  expect(dicomName(typed)).toBe(kept);
});

test("a name is shown by its main form with the others beside", () => {
  expect(shownName("Yamada^Tarou=山田^太郎")).toEqual(["Yamada, Tarou", ["山田, 太郎"]]);
  expect(shownName(null)).toEqual(["", []]);
});

test("days go on over the end of months and years", () => {
  expect([dayAfter("2026-01-01", -1), dayAfter("2024-02-28", 1)]).toEqual(["2025-12-31", "2024-02-29"]);
});
