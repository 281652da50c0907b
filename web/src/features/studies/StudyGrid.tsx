import { ArrowDown, ArrowUp } from "lucide-react";
import type { ReactNode } from "react";
import { useNavigate } from "react-router";
import { type Study, viewerPath } from "../../api/dicomweb";
import { Grid, type GridColumn } from "../../ui/Grid";
import { COLUMNS, type Column } from "./columns";
import type { Filters } from "./filters";

interface Props {
  studies: Study[];
  filters: Filters;
  change: (change: Partial<Filters>) => void;
  current: string | undefined;
  setCurrent: (uid: string) => void;
  /** Who may send studies ticks those to be sent. */
  ticked?: ReadonlySet<string>;
  setTicked?: (ticked: Set<string>) => void;
  loadMore: (() => void) | undefined;
  placeholder: ReactNode;
}

/** The study list; what narrows a single column stands in its head. */
export function StudyGrid({ studies, filters, change, ...grid }: Props) {
  const navigate = useNavigate();
  const columns = COLUMNS.map((column) => withHead(column, filters, change));
  return (
    <Grid
      {...grid}
      id="study-grid"
      label="Studies"
      columns={columns}
      rows={studies}
      keyOf={(study) => study.uid}
      minWidth="76rem"
      open={(study) => void navigate(`/studies/${study.uid}`)}
      keys={{ o: (study) => window.location.assign(viewerPath(study.uid)) }}
    />
  );
}

function withHead(column: Column, filters: Filters, change: Props["change"]): GridColumn<Study> {
  const { title, sort, filterBy } = column;
  const isSorted = sort !== undefined && sort === filters.sort;
  const Arrow = filters.descending ? ArrowDown : ArrowUp;
  return {
    ...column,
    sorted: isSorted ? (filters.descending ? "descending" : "ascending") : undefined,
    heading: sort && (
      <button
        type="button"
        className="-mx-1 flex items-center gap-1 rounded px-1 hover:text-ink"
        onClick={() => change({ sort, descending: isSorted ? !filters.descending : sort === "StudyDate" })}
      >
        {title}
        {isSorted && <Arrow className="size-3.5 text-accent" aria-hidden />}
      </button>
    ),
    filter: filterBy && (
      <input
        type="search"
        aria-label={`Filter by ${title}`}
        className="field h-7! w-full px-2!"
        value={filters[filterBy]}
        onChange={(event) => change({ [filterBy]: event.target.value })}
        onKeyDown={(event) => {
          if (event.key === "Enter" || event.key === "ArrowDown") document.getElementById("study-grid")?.focus();
        }}
      />
    ),
  };
}
