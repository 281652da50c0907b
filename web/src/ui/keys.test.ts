import { expect, test } from "vitest";
import { movedBy } from "./keys";

test.each([
  ["ArrowDown", -1, 0],
  ["j", 4, 5],
  ["j", 9, 9],
  ["ArrowUp", 0, 0],
  ["k", 4, 3],
  ["PageDown", 2, 8],
  ["PageDown", 7, 9],
  ["PageUp", 7, 1],
  ["PageUp", 2, 0],
  ["Home", 7, 0],
  ["End", 0, 9],
] as const)("%s at row %i of ten leads to row %i", (key, from, to) => {
  expect(movedBy(key, from, 10, 6)).toBe(to);
});

test("other keys and an empty list move nothing", () => {
  expect(movedBy("x", 1, 10, 6)).toBeUndefined();
  expect(movedBy("j", -1, 0, 6)).toBeUndefined();
});
