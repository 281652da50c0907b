import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type ReactNode, useEffect, useRef } from "react";
import { movedBy } from "./keys";

const ROW_HEIGHT = 33;
const HEADING_HEIGHT = 32;
const FILTER_HEIGHT = 36;

export interface GridColumn<Row> {
  title: string;
  /** A CSS grid track. */
  width: string;
  isNumber?: boolean;
  cell: (row: Row) => ReactNode;
  /** Shown in place of the title. */
  heading?: ReactNode;
  sorted?: "ascending" | "descending" | undefined;
  /** Stands under the heading. */
  filter?: ReactNode;
  /** The column of a row's own buttons: its title is for those who cannot see it. */
  isForButtons?: boolean;
}

interface Props<Row> {
  id?: string;
  label: string;
  columns: GridColumn<Row>[];
  rows: Row[];
  keyOf: (row: Row) => string;
  /** The width below which the grid scrolls sideways. */
  minWidth: string;
  current: string | undefined;
  setCurrent: (key: string) => void;
  /** By Enter and by a double click. */
  open?: ((row: Row) => void) | undefined;
  /** What further keys do with the row they are pressed on. */
  keys?: Record<string, (row: Row) => void>;
  /** Rows that are ticked; with this each row has a box, and Space ticks it. */
  ticked?: ReadonlySet<string>;
  setTicked?: (ticked: Set<string>) => void;
  loadMore?: (() => void) | undefined;
  /** Takes the keyboard when it comes. */
  autoFocus?: boolean;
  /** Shown in place of rows: nothing there, an error, or the first loading. */
  placeholder: ReactNode;
}

/** A table as one focusable thing: the current row moves by keys, rows outside of the window are not drawn. */
export function Grid<Row>(props: Props<Row>) {
  const { columns, rows, keyOf, current, setCurrent, open, ticked, setTicked, loadMore, autoFocus = true } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const grid = useRef<HTMLDivElement>(null);
  // By key, not by place: rows that arrive above must not move the selection to another one.
  const currentIndex = rows.findIndex((row) => keyOf(row) === current);
  const hasFilters = columns.some((column) => column.filter !== undefined);
  const headRows = hasFilters ? 2 : 1;
  // The table head scrolls with the rows and sticks to the top: so much less of them is seen than the window is high.
  const headHeight = HEADING_HEIGHT + (hasFilters ? FILTER_HEIGHT : 0);
  const tracks = `${ticked ? "2.2rem " : ""}${columns.map((column) => column.width).join(" ")}`;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
    scrollPaddingEnd: headHeight,
  });
  const drawn = virtual.getVirtualItems();
  const lastDrawn = drawn.at(-1)?.index ?? -1;

  useEffect(() => {
    if (loadMore && rows.length > 0 && lastDrawn >= rows.length - 20) loadMore();
  }, [loadMore, lastDrawn, rows.length]);

  useEffect(() => {
    if (autoFocus) grid.current?.focus({ preventScroll: true });
  }, [autoFocus]);

  const moveTo = (index: number) => {
    const row = rows[index];
    if (!row) return;
    setCurrent(keyOf(row));
    virtual.scrollToIndex(index, { align: "auto" });
  };

  const tick = (row: Row) => {
    const changed = new Set(ticked);
    if (!changed.delete(keyOf(row))) changed.add(keyOf(row));
    setTicked?.(changed);
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== grid.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = rows[currentIndex];
    const page = Math.max(1, Math.floor(((scroller.current?.clientHeight ?? 0) - headHeight) / ROW_HEIGHT) - 1);
    const to = movedBy(event.key, currentIndex, rows.length, page);
    if (to !== undefined) moveTo(to);
    else if (!row) return;
    else if (event.key === "Enter" && open) open(row);
    else if (event.key === " " && ticked) tick(row);
    else if (props.keys?.[event.key]) props.keys[event.key]?.(row);
    else return;
    event.preventDefault();
  };

  const isAllTicked = rows.length > 0 && rows.every((row) => ticked?.has(keyOf(row)));
  return (
    <div ref={scroller} className="min-h-0 flex-1 overflow-auto">
      <div
        ref={grid}
        role="grid"
        id={props.id}
        aria-label={props.label}
        aria-rowcount={rows.length + headRows}
        aria-colcount={columns.length + (ticked ? 1 : 0)}
        aria-activedescendant={currentIndex >= 0 && current !== undefined ? rowId(current) : undefined}
        tabIndex={0}
        onKeyDown={onKeyDown}
        className="group flex min-h-full flex-col outline-none"
        style={{ minWidth: props.minWidth }}
      >
        <div role="rowgroup" className="sticky top-0 z-10 border-b border-line bg-panel">
          <div role="row" aria-rowindex={1} className="grid" style={{ gridTemplateColumns: tracks }}>
            {ticked && (
              <div role="columnheader" className="grid h-8 place-items-center">
                <input
                  type="checkbox"
                  aria-label="Tick all"
                  className="accent-accent"
                  checked={isAllTicked}
                  disabled={rows.length === 0}
                  onChange={() => setTicked?.(new Set(isAllTicked ? [] : rows.map(keyOf)))}
                />
              </div>
            )}
            {columns.map(({ title, heading, isNumber, sorted, isForButtons }) => (
              <div
                key={title}
                role="columnheader"
                aria-sort={sorted}
                className={`flex h-8 items-center px-3 text-[0.92em] font-medium whitespace-nowrap text-dim ${isNumber ? "justify-end" : ""}`}
              >
                {heading ?? (isForButtons ? <span className="sr-only">{title}</span> : title)}
              </div>
            ))}
          </div>
          {hasFilters && (
            <div role="row" aria-rowindex={2} className="grid h-9 items-start" style={{ gridTemplateColumns: tracks }}>
              {ticked && <div role="gridcell" />}
              {columns.map(({ title, filter }) => (
                <div key={title} role="gridcell" className="px-1">
                  {filter}
                </div>
              ))}
            </div>
          )}
        </div>
        {rows.length === 0 ? (
          <div role="row" className="flex flex-1">
            <div role="gridcell" className="flex flex-1">
              {props.placeholder}
            </div>
          </div>
        ) : (
          <div role="rowgroup" className="relative flex-none" style={{ height: virtual.getTotalSize() }}>
            {drawn.map(({ index, start }) => {
              const row = rows[index];
              if (!row) return null;
              const key = keyOf(row);
              return (
                <div
                  key={key}
                  role="row"
                  id={rowId(key)}
                  aria-rowindex={index + headRows + 1}
                  aria-selected={index === currentIndex}
                  onClick={(event) => {
                    setCurrent(key);
                    // A click on a row's own button leaves the keyboard there.
                    if (!(event.target as Element).closest("button, input")) grid.current?.focus({ preventScroll: true });
                  }}
                  onDoubleClick={open && (() => open(row))}
                  className="absolute inset-x-0 grid cursor-default items-center border-b border-line/60 hover:bg-panel aria-selected:bg-[#123135] aria-selected:shadow-[inset_3px_0_0_var(--color-accent)] group-focus-visible:aria-selected:bg-[#17414a]"
                  style={{ top: start, height: ROW_HEIGHT, gridTemplateColumns: tracks }}
                >
                  {ticked && (
                    <div role="gridcell" className="grid place-items-center">
                      <input
                        type="checkbox"
                        tabIndex={-1}
                        aria-label="Tick this row (Space)"
                        className="accent-accent"
                        checked={ticked.has(key)}
                        onChange={() => tick(row)}
                        onDoubleClick={(event) => event.stopPropagation()}
                      />
                    </div>
                  )}
                  {columns.map(({ title, cell, isNumber, isForButtons }) => {
                    const content = cell(row);
                    return (
                      <div
                        role="gridcell"
                        key={title}
                        // What does not fit its column can be read by pointing at it.
                        title={typeof content === "string" && content !== "" ? content : undefined}
                        className={isForButtons ? "grid place-items-center" : `truncate px-3 ${isNumber ? "text-right tabular-nums" : ""}`}
                      >
                        {content}
                      </div>
                    );
                  })}
                </div>
              );
            })}
          </div>
        )}
      </div>
    </div>
  );
}

/** Ids hold no spaces; AE titles may. */
function rowId(key: string): string {
  return `row-${key.replaceAll(" ", "_")}`;
}

/** Grey bars where rows will be. */
export function SkeletonRows({ label }: { label: string }) {
  return (
    <div className="waiting flex-1" role="status" aria-label={label}>
      {Array.from({ length: 14 }, (_, row) => (
        <div key={row} className="flex h-[33px] items-center gap-8 border-b border-line/60 px-3" aria-hidden>
          <span className="h-2.5 w-56 rounded bg-raised" />
          <span className="h-2.5 w-24 rounded bg-raised" />
          <span className="h-2.5 w-32 rounded bg-raised" />
          <span className="h-2.5 w-72 rounded bg-raised" />
        </div>
      ))}
    </div>
  );
}
