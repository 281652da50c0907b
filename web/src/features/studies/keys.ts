/** Where a key moves the selection, or undefined if it does not. `-1` is no selection yet. */
export function movedBy(key: string, selected: number, count: number, page: number): number | undefined {
  if (count === 0) return undefined;
  const within = (index: number) => Math.min(Math.max(index, 0), count - 1);
  switch (key) {
    case "j":
    case "ArrowDown":
      return within(selected + 1);
    case "k":
    case "ArrowUp":
      return within(selected - 1);
    case "PageDown":
      return within(selected + page);
    case "PageUp":
      return within(selected - page);
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return undefined;
  }
}
