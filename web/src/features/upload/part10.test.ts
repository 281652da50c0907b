import { expect, test } from "vitest";
import { isDirectory, readFileMeta } from "./part10";

function element(number: number, vr: string, value: string): number[] {
  const bytes = [...value].map((letter) => letter.charCodeAt(0));
  if (bytes.length % 2) bytes.push(0);
  const length = vr === "OB" ? [0, 0, bytes.length, 0, 0, 0] : [bytes.length, 0];
  return [2, 0, number, 0, vr.charCodeAt(0), vr.charCodeAt(1), ...length, ...bytes];
}

function file(...elements: number[][]): ArrayBuffer {
  const bytes = [...Array<number>(128).fill(0), ..."DICM".split("").map((letter) => letter.charCodeAt(0)), ...elements.flat()];
  return new Uint8Array(bytes).buffer;
}

test("class and instance are read behind a value of the long form", () => {
  const meta = readFileMeta(file(element(1, "OB", "\0\x01"), element(2, "UI", "1.2.3"), element(3, "UI", "1.2.3.45")));
  expect(meta).toEqual({ sopClassUid: "1.2.3", sopInstanceUid: "1.2.3.45" });
});

test("what has no DICM at its place is no DICOM file", () => {
  expect(readFileMeta(new ArrayBuffer(0))).toBeUndefined();
  expect(readFileMeta(new TextEncoder().encode("DICM".repeat(50)).buffer.slice(1) as ArrayBuffer)).toBeUndefined();
});

test("a data set without preamble is a DICOM file, with or without meta information", () => {
  expect(readFileMeta(new Uint8Array([8, 0, 5, 0, 67, 83, 0, 0]).buffer)).toEqual({ sopClassUid: "", sopInstanceUid: "" });
  expect(readFileMeta(new Uint8Array(element(3, "UI", "1.2.3.45")).buffer)?.sopInstanceUid).toBe("1.2.3.45");
});

test("a file that ends inside its meta information is still a DICOM file", () => {
  const whole = file(element(2, "UI", "1.2.3"), element(3, "UI", "1.2.3.45"));
  expect(readFileMeta(whole.slice(0, whole.byteLength - 2))).toEqual({ sopClassUid: "1.2.3", sopInstanceUid: "" });
});

test("a DICOMDIR is known by its class", () => {
  const meta = readFileMeta(file(element(2, "UI", "1.2.840.10008.1.3.10")));
  expect(meta && isDirectory(meta)).toBe(true);
});
