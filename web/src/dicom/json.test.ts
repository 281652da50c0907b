import { describe, expect, test } from "vitest";
import { ageOn, formatDate, formatName, formatTime, items, mainName, number, otherNames, personName, text, texts } from "./json";
import { TAG } from "./tags";

describe("reading values", () => {
  test("an absent or empty attribute is an empty text", () => {
    expect(text({}, TAG.PatientID)).toBe("");
    expect(text({ [TAG.PatientID]: { vr: "LO" } }, TAG.PatientID)).toBe("");
    expect(text({ [TAG.PatientID]: { vr: "LO", Value: [null] } }, TAG.PatientID)).toBe("");
  });
  test("all values of an attribute come in order", () => {
    expect(texts({ [TAG.ModalitiesInStudy]: { vr: "CS", Value: ["CT", "SR"] } }, TAG.ModalitiesInStudy)).toEqual(["CT", "SR"]);
  });
  test("a number may have been sent as a string", () => {
    expect(number({ [TAG.SeriesNumber]: { vr: "IS", Value: ["7 "] } }, TAG.SeriesNumber)).toBe(7);
    expect(number({ [TAG.SeriesNumber]: { vr: "IS", Value: [0] } }, TAG.SeriesNumber)).toBe(0);
    expect(number({ [TAG.SeriesNumber]: { vr: "IS", Value: ["x"] } }, TAG.SeriesNumber)).toBeUndefined();
    expect(number({}, TAG.SeriesNumber)).toBeUndefined();
  });
  test("empty items of a sequence are left out", () => {
    expect(items({ [TAG.FailedSOPSequence]: { vr: "SQ", Value: [null, {}] } }, TAG.FailedSOPSequence)).toEqual([{}]);
  });
});

describe("names", () => {
  test("the parts of a name come in reading order", () => {
    expect(formatName("Adams^John Robert Quincy^^Rev.^B.A. M.Div.")).toBe("Adams, Rev. John Robert Quincy, B.A. M.Div.");
    expect(formatName("Doe")).toBe("Doe");
    expect(formatName("^Anna")).toBe("Anna");
    expect(formatName("^^^^")).toBe("");
  });
  test("every script of a name is kept", () => {
    const value = { Alphabetic: "Yamada^Tarou", Ideographic: "山田^太郎", Phonetic: "やまだ^たろう" };
    const name = personName({ [TAG.PatientName]: { vr: "PN", Value: [value] } }, TAG.PatientName);
    expect(mainName(name)).toBe("Yamada, Tarou");
    expect(otherNames(name)).toEqual(["山田, 太郎", "やまだ, たろう"]);
  });
  test("a name in one foreign script alone is the main one", () => {
    const name = personName({ [TAG.PatientName]: { vr: "PN", Value: [{ Ideographic: "王^小東" }] } }, TAG.PatientName);
    expect(mainName(name)).toBe("王, 小東");
    expect(otherNames(name)).toEqual([]);
  });
});

describe("dates", () => {
  test("dates and times are shown alike whatever their precision", () => {
    expect(formatDate("20240229")).toBe("2024-02-29");
    expect(formatDate("2024.02.29")).toBe("2024-02-29");
    expect(formatDate("unknown")).toBe("unknown");
    expect(formatTime("101530.1234")).toBe("10:15");
    expect(formatTime("09")).toBe("09:00");
    expect(formatTime("")).toBe("");
  });
  test("the age is that on the day of the study", () => {
    expect(ageOn("19600301", "20240229")).toBe("63 y");
    expect(ageOn("19600301", "20240301")).toBe("64 y");
    expect(ageOn("20230915", "20240229")).toBe("5 mo");
    expect(ageOn("20240201", "20240229")).toBe("28 d");
  });
  test("no age comes of a missing, impossible or later birth date", () => {
    expect(ageOn("", "20240229")).toBe("");
    expect(ageOn("19991345", "20240229")).toBe("");
    expect(ageOn("20250101", "20240229")).toBe("");
  });
});
