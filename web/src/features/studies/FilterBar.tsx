import { X } from "lucide-react";
import type { ReactNode, RefObject } from "react";
import { SearchBox } from "../../ui/states";
import { type Filters, MODALITIES, NO_FILTERS, PERIODS, type Period, isNarrowed } from "./filters";

interface Props {
  filters: Filters;
  change: (change: Partial<Filters>) => void;
  searchBox: RefObject<HTMLInputElement | null>;
  /** What can be done with chosen studies. */
  children?: ReactNode;
}

/** What narrows the list as a whole; the filters of single columns stand in the table's head. */
export function FilterBar({ filters, change, searchBox, children }: Props) {
  const toggle = (code: string) =>
    change({
      modalities: filters.modalities.includes(code)
        ? filters.modalities.filter((each) => each !== code)
        : [...filters.modalities, code],
    });
  return (
    <search className="flex min-h-13 flex-none flex-wrap items-center gap-x-3 gap-y-2 px-4 py-2">
      <SearchBox
        reference={searchBox}
        label="Search name, patient ID or accession number"
        placeholder="Name, patient ID, accession"
        className="w-[17rem]"
        value={filters.quick}
        change={(quick) => change({ quick })}
        gridId="study-grid"
      />
      <div role="group" aria-label="Study date" className="flex items-center gap-1">
        {Object.entries(PERIODS).map(([period, title]) => (
          <button
            key={period}
            type="button"
            className="chip"
            aria-pressed={filters.period === period}
            onClick={() => change({ period: filters.period === period ? "" : (period as Period), from: "", to: "" })}
          >
            {title}
          </button>
        ))}
        <input
          type="date"
          aria-label="Study date from"
          className="field ml-1 w-[9.3rem]"
          value={filters.from}
          onChange={(event) => change({ from: event.target.value, period: "" })}
        />
        <span className="text-faint">–</span>
        <input
          type="date"
          aria-label="Study date to"
          className="field w-[9.3rem]"
          value={filters.to}
          onChange={(event) => change({ to: event.target.value, period: "" })}
        />
      </div>
      <div role="group" aria-label="Modality" className="flex flex-wrap items-center gap-1">
        {MODALITIES.map((code) => (
          <button
            key={code}
            type="button"
            className="chip"
            aria-pressed={filters.modalities.includes(code)}
            onClick={() => toggle(code)}
          >
            {code}
          </button>
        ))}
      </div>
      {isNarrowed(filters) && (
        <button
          type="button"
          className="button button-quiet px-2!"
          onClick={() => change({ ...NO_FILTERS, sort: filters.sort, descending: filters.descending })}
        >
          <X className="size-4" aria-hidden />
          Clear
        </button>
      )}
      <div className="ml-auto">{children}</div>
    </search>
  );
}
