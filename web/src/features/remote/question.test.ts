import { expect, test } from "vitest";
import { type Question, readQuestion, toQuery, writeQuestion } from "./question";

const NOTHING: Question = { remote: "PACS", name: "", id: "", accession: "", modality: "", from: "", to: "" };

test("a question comes back from the address as it was", () => {
  const question = { ...NOTHING, name: "doe", from: "2026-01-05" };
  expect(writeQuestion(question).toString()).toBe("remote=PACS&name=doe&from=2026-01-05");
  expect(readQuestion(writeQuestion(question))).toEqual(question);
});

test.each([
  ["doe", "doe*"],
  ["doe, jane", "doe*jane*"],
  ["d?e*", "d?e*"],
])("the name %s is asked for as %s", (typed, asked) => {
  expect(toQuery({ ...NOTHING, name: typed }).keys).toEqual({ PatientName: asked });
});

test.each([
  ["2026-01-05", "", "20260105-"],
  ["", "2026-01-05", "-20260105"],
  ["2026-01-05", "2026-01-05", "20260105"],
  ["2026-01-01", "2026-01-05", "20260101-20260105"],
])("from %s to %s is the range %s", (from, to, range) => {
  expect(toQuery({ ...NOTHING, from, to }).keys).toEqual({ StudyDate: range });
});

test("no key is both matched and merely returned", () => {
  const query = toQuery({ ...NOTHING, id: "4711", modality: "ct" });
  expect(query.keys).toEqual({ PatientID: "4711", ModalitiesInStudy: "CT" });
  expect(query.return_keys).not.toContain("PatientID");
  expect(query.return_keys).toContain("PatientName");
});
