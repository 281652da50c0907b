import { useEffect, useRef } from "react";

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

/** Keys that work wherever the keyboard is on the page, except where one types and while a dialog is open. */
export function useKeys(keys: Record<string, () => void>) {
  const latest = useRef(keys);
  useEffect(() => {
    latest.current = keys;
  });
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isBusy(event.target)) return;
      const act = latest.current[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, []);
}

function isBusy(target: EventTarget | null): boolean {
  const types = target instanceof HTMLElement && target.matches("input:not([type=checkbox]), textarea, select");
  return types || document.querySelector("dialog[open]") !== null;
}

/** `/` leads to the search box, what stands in it selected. */
export function focusAndSelect(box: HTMLInputElement | null) {
  box?.focus();
  box?.select();
}
