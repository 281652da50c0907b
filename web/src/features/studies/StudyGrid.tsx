import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, ArrowUp, MonitorPlay } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { type Study, viewerPath } from "../../api/dicomweb";
import { mainName } from "../../dicom/json";
import { COLUMNS, type Column, TRACKS } from "./columns";
import type { Filters } from "./filters";
import { movedBy } from "./keys";

const ROW_HEIGHT = 33;

interface Props {
  studies: Study[];
  filters: Filters;
  change: (change: Partial<Filters>) => void;
  loadMore: (() => void) | undefined;
  /** Shown in place of rows: nothing found, an error, or the first loading. */
  placeholder: ReactNode;
}

/** The study list as one focusable grid: the selection moves by keys, rows outside of the window are not drawn. */
export function StudyGrid({ studies, filters, change, loadMore, placeholder }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const grid = useRef<HTMLDivElement>(null);
  const navigate = useNavigate();
  // By UID, not by place: rows that arrive above must not move the selection to another patient.
  const [selectedUid, select] = useState<string>();
  const selected = studies.findIndex((study) => study.uid === selectedUid);
  // The table head scrolls with the rows and sticks to the top: so much less of them is seen than the window is high.
  const headHeight = 68;
  const rows = useVirtualizer({
    count: studies.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
    scrollPaddingEnd: headHeight,
  });
  const drawn = rows.getVirtualItems();
  const lastDrawn = drawn.at(-1)?.index ?? -1;

  useEffect(() => {
    if (loadMore && studies.length > 0 && lastDrawn >= studies.length - 20) loadMore();
  }, [loadMore, lastDrawn, studies.length]);

  useEffect(() => {
    grid.current?.focus({ preventScroll: true });
  }, []);

  const moveTo = (index: number) => {
    const study = studies[index];
    if (!study) return;
    select(study.uid);
    rows.scrollToIndex(index, { align: "auto" });
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== grid.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const study = studies[selected];
    const page = Math.max(1, Math.floor(((scroller.current?.clientHeight ?? 0) - headHeight) / ROW_HEIGHT) - 1);
    const to = movedBy(event.key, selected, studies.length, page);
    if (to !== undefined) moveTo(to);
    else if (event.key === "Enter" && study) void navigate(`/studies/${study.uid}`);
    else if (event.key === "o" && study) window.location.assign(viewerPath(study.uid));
    else return;
    event.preventDefault();
  };

  return (
    <div ref={scroller} className="min-h-0 flex-1 overflow-auto">
      <div
        ref={grid}
        role="grid"
        id="study-grid"
        aria-label="Studies"
        aria-rowcount={studies.length + 2}
        aria-colcount={COLUMNS.length + 1}
        aria-activedescendant={selected >= 0 ? `row-${studies[selected]?.uid}` : undefined}
        tabIndex={0}
        onKeyDown={onKeyDown}
        className="group flex min-h-full min-w-[74rem] flex-col outline-none"
      >
        <div role="rowgroup" className="sticky top-0 z-10 border-b border-line bg-panel">
          <div role="row" aria-rowindex={1} className="grid" style={{ gridTemplateColumns: TRACKS }}>
            {COLUMNS.map((column) => (
              <Heading key={column.title} column={column} filters={filters} change={change} />
            ))}
            <div role="columnheader">
              <span className="sr-only">Viewer</span>
            </div>
          </div>
          <div role="row" aria-rowindex={2} className="grid h-9 items-start" style={{ gridTemplateColumns: TRACKS }}>
            {COLUMNS.map(({ title, filter }) => (
              <div key={title} role="gridcell" className="px-1">
                {filter && (
                  <input
                    type="search"
                    aria-label={`Filter by ${title}`}
                    className="field h-7! w-full px-2!"
                    value={filters[filter]}
                    onChange={(event) => change({ [filter]: event.target.value })}
                    onKeyDown={(event) => {
                      if (event.key === "Enter" || event.key === "ArrowDown") grid.current?.focus();
                    }}
                  />
                )}
              </div>
            ))}
            <div role="gridcell" />
          </div>
        </div>
        {studies.length === 0 ? (
          <div role="row" className="flex flex-1">
            <div role="gridcell" className="flex flex-1">
              {placeholder}
            </div>
          </div>
        ) : (
          <div role="rowgroup" className="relative flex-none" style={{ height: rows.getTotalSize() }}>
            {drawn.map(({ index, start }) => {
              const study = studies[index];
              return (
                study && (
                  <Row
                    key={study.uid}
                    study={study}
                    index={index}
                    top={start}
                    isSelected={index === selected}
                    select={() => {
                      select(study.uid);
                      grid.current?.focus({ preventScroll: true });
                    }}
                    open={() => void navigate(`/studies/${study.uid}`)}
                  />
                )
              );
            })}
          </div>
        )}
      </div>
    </div>
  );
}

function Heading({ column, filters, change }: { column: Column; filters: Filters; change: Props["change"] }) {
  const { title, sort, isNumber } = column;
  const isSorted = sort !== undefined && sort === filters.sort;
  const Arrow = filters.descending ? ArrowDown : ArrowUp;
  return (
    <div
      role="columnheader"
      aria-sort={isSorted ? (filters.descending ? "descending" : "ascending") : undefined}
      className={`flex h-8 items-center px-3 text-[0.92em] font-medium text-dim ${isNumber ? "justify-end" : ""}`}
    >
      {sort ? (
        <button
          type="button"
          className="-mx-1 flex items-center gap-1 rounded px-1 hover:text-ink"
          onClick={() => change({ sort, descending: isSorted ? !filters.descending : sort === "StudyDate" })}
        >
          {title}
          {isSorted && <Arrow className="size-3.5 text-accent" aria-hidden />}
        </button>
      ) : (
        title
      )}
    </div>
  );
}

interface RowProps {
  study: Study;
  index: number;
  top: number;
  isSelected: boolean;
  select: () => void;
  open: () => void;
}

function Row({ study, index, top, isSelected, select, open }: RowProps) {
  return (
    <div
      role="row"
      id={`row-${study.uid}`}
      aria-rowindex={index + 3}
      aria-selected={isSelected}
      onClick={select}
      onDoubleClick={open}
      className="absolute inset-x-0 grid cursor-default items-center border-b border-line/60 hover:bg-panel aria-selected:bg-[#123135] aria-selected:shadow-[inset_3px_0_0_var(--color-accent)] group-focus-visible:aria-selected:bg-[#17414a]"
      style={{ top, height: ROW_HEIGHT, gridTemplateColumns: TRACKS }}
    >
      {COLUMNS.map(({ title, cell, isNumber }) => {
        const content = cell(study);
        return (
          <div
            role="gridcell"
            key={title}
            // What does not fit its column can be read by pointing at it.
            title={typeof content === "string" && content !== "" ? content : undefined}
            className={`truncate px-3 ${isNumber ? "text-right tabular-nums" : ""}`}
          >
            {content}
          </div>
        );
      })}
      <div role="gridcell" className="grid place-items-center">
        <a
          href={viewerPath(study.uid)}
          tabIndex={-1}
          aria-label={`Open ${mainName(study.patientName)} in the viewer`}
          title="Open in the viewer (o)"
          className="rounded p-1 text-faint hover:bg-raised hover:text-accent"
        >
          <MonitorPlay className="size-4" aria-hidden />
        </a>
      </div>
    </div>
  );
}
