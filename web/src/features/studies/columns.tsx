import { MonitorPlay } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { type Study, viewerPath } from "../../api/dicomweb";
import { ageOn, formatDate, formatTime, mainName, otherNames } from "../../dicom/json";
import type { GridColumn } from "../../ui/Grid";
import { Modality } from "../../ui/states";
import type { Filters, SortField } from "./filters";

type TextFilter = "name" | "id" | "description" | "accession" | "referring";

export interface Column extends GridColumn<Study> {
  sort?: SortField;
  filterBy?: TextFilter & keyof Filters;
  /** In place of `cell` for a study that is in another archive only. */
  away?: (study: Study) => ReactNode;
}

export const COLUMNS: Column[] = [
  {
    title: "Patient",
    width: "minmax(12rem, 2.2fr)",
    sort: "PatientName",
    filterBy: "name",
    cell: (study) => <Name study={study} isHere />,
    away: (study) => <Name study={study} isHere={false} />,
  },
  { title: "Patient ID", width: "minmax(7rem, 1fr)", sort: "PatientID", filterBy: "id", cell: (study) => study.patientId },
  {
    title: "Born",
    width: "11.4rem",
    sort: "PatientBirthDate",
    cell: (study) => <Pair first={formatDate(study.birthDate)} second={ageOn(study.birthDate, study.date)} />,
  },
  { title: "Sex", width: "3rem", cell: (study) => study.sex },
  {
    title: "Study date",
    width: "11.8rem",
    sort: "StudyDate",
    cell: (study) => <Pair first={formatDate(study.date)} second={formatTime(study.time)} />,
  },
  {
    title: "Modality",
    width: "7.6rem",
    cell: (study) => <Modalities codes={study.modalities} />,
  },
  {
    title: "Description",
    width: "minmax(9rem, 1.9fr)",
    sort: "StudyDescription",
    filterBy: "description",
    cell: (study) => study.description,
  },
  {
    title: "Accession",
    width: "minmax(6rem, 0.9fr)",
    sort: "AccessionNumber",
    filterBy: "accession",
    cell: (study) => study.accession,
  },
  { title: "Series", width: "4rem", isNumber: true, cell: (study) => study.seriesCount ?? "" },
  { title: "Images", width: "4.6rem", isNumber: true, cell: (study) => study.instanceCount?.toLocaleString("en") ?? "" },
  {
    title: "Referring",
    width: "minmax(7rem, 1.1fr)",
    filterBy: "referring",
    cell: (study) => mainName(study.referring),
  },
  {
    title: "Viewer",
    width: "2.4rem",
    isForButtons: true,
    cell: (study) => (
      <a
        href={viewerPath(study.uid)}
        tabIndex={-1}
        aria-label={`Open ${mainName(study.patientName)} in the viewer`}
        title="Open in the viewer (o)"
        className="rounded p-1 text-faint hover:bg-raised hover:text-accent"
      >
        <MonitorPlay className="size-4" aria-hidden />
      </a>
    ),
  },
];

function Name({ study, isHere }: { study: Study; isHere: boolean }) {
  const others = otherNames(study.patientName);
  const main = <bdi>{mainName(study.patientName) || "(no name)"}</bdi>;
  return (
    <>
      {isHere ? (
        <Link to={`/studies/${study.uid}`} tabIndex={-1} className="font-medium hover:underline">
          {main}
        </Link>
      ) : (
        <span className="font-medium">{main}</span>
      )}
      {others.length > 0 && <bdi className="ml-2 text-dim">{others.join(" · ")}</bdi>}
    </>
  );
}

/** As many as fit; the others are counted, and read by pointing at them. */
function Modalities({ codes }: { codes: string[] }) {
  const shown = codes.length > 2 ? codes.slice(0, 1) : codes;
  return (
    <span className="flex items-center gap-1 overflow-hidden" title={codes.join(", ")}>
      {shown.map((code) => (
        <Modality key={code} code={code} />
      ))}
      {shown.length < codes.length && <span className="text-dim">+{codes.length - shown.length}</span>}
    </span>
  );
}

function Pair({ first, second }: { first: string; second: string }) {
  return (
    <span className="tabular-nums">
      {first}
      {second !== "" && <span className="ml-2 text-dim">{second}</span>}
    </span>
  );
}
