import { Link } from "react-router";
import type { Study } from "../api/dicomweb";
import { formatDate, mainName } from "../dicom/json";

/** A study by its patient, date and description; by its UID as long as nothing else is known. */
export function StudyName({ uid, study, isHere }: { uid: string; study: Study | undefined; isHere: boolean }) {
  const name = study ? mainName(study.patientName) || "(no name)" : uid;
  const more = study ? [formatDate(study.date), study.description].filter(Boolean).join(" · ") : "";
  return (
    <span title={[name, more].filter(Boolean).join(" · ")}>
      {isHere ? (
        <Link to={`/studies/${uid}`} tabIndex={-1} className="font-medium hover:underline">
          <bdi>{name}</bdi>
        </Link>
      ) : (
        <bdi>{name}</bdi>
      )}
      {more !== "" && <span className="text-dim"> · {more}</span>}
    </span>
  );
}
