import { Link } from "react-router";
import type { Study } from "../api/dicomweb";
import { formatDate, mainName } from "../dicom/json";

/** A study by its patient, date and description; by its UID as long as nothing else is known. */
export function StudyName({ uid, study, isHere }: { uid: string; study: Study | undefined; isHere: boolean }) {
  const text = study
    ? [mainName(study.patientName) || "(no name)", formatDate(study.date), study.description].filter(Boolean).join(" · ")
    : uid;
  return (
    <bdi title={text}>
      {isHere ? (
        <Link to={`/studies/${uid}`} tabIndex={-1} className="font-medium hover:underline">
          {text}
        </Link>
      ) : (
        text
      )}
    </bdi>
  );
}
