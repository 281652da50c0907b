import { useState } from "react";

/** The row the keyboard is on, the ticked ones, and those that are meant: the ticked ones, else the current one. */
export function useChoice<Row>(rows: Row[], keyOf: (row: Row) => string) {
  const [current, setCurrent] = useState<string>();
  const [ticked, setTicked] = useState<ReadonlySet<string>>(new Set());
  const shown = rows.filter((row) => ticked.has(keyOf(row)));
  const chosen = shown.length > 0 ? shown : rows.filter((row) => keyOf(row) === current);
  return { current, setCurrent, ticked, setTicked, chosen };
}
