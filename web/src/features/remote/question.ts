/** What a remote archive is asked. It lives in the address, so that reload, back and links keep it. */
import type { Schemas } from "../../api/console";

export const FIELDS = ["name", "id", "accession", "modality", "from", "to"] as const;
export type Field = (typeof FIELDS)[number];

export interface Question extends Record<Field, string> {
  remote: string;
}

export function readQuestion(address: URLSearchParams): Question {
  const question = { remote: address.get("remote") ?? "" } as Question;
  for (const field of FIELDS) question[field] = address.get(field) ?? "";
  return question;
}

export function writeQuestion(question: Question): URLSearchParams {
  const address = new URLSearchParams({ remote: question.remote });
  for (const field of FIELDS) if (question[field].trim() !== "") address.set(field, question[field].trim());
  return address;
}

const RETURNED = [
  "StudyInstanceUID",
  "PatientName",
  "PatientID",
  "IssuerOfPatientID",
  "PatientBirthDate",
  "PatientSex",
  "StudyDate",
  "StudyTime",
  "StudyDescription",
  "AccessionNumber",
  "ModalitiesInStudy",
  "ReferringPhysicianName",
  "NumberOfStudyRelatedSeries",
  "NumberOfStudyRelatedInstances",
];

/** The C-FIND at study level. Other archives know no more than the standard's matching, so this asks for no more. */
export function toQuery(question: Question): Schemas["RemoteQuery"] {
  const [from, to] = [question.from, question.to].map((day) => day.replaceAll("-", ""));
  const keys: Record<string, string> = {
    PatientName: beginning(question.name),
    PatientID: question.id.trim(),
    AccessionNumber: question.accession.trim(),
    ModalitiesInStudy: question.modality.trim().toUpperCase(),
    StudyDate: from === to ? (from ?? "") : `${from}-${to}`,
  };
  const asked = Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== ""));
  return {
    level: "study",
    keys: asked,
    return_keys: RETURNED.filter((keyword) => !(keyword in asked)),
    is_fuzzy: false,
    limit: 200,
  };
}

/** The beginnings of the words of a name, in order; who types wildcards means them. */
function beginning(name: string): string {
  const trimmed = name.trim();
  if (trimmed === "" || /[*?]/.test(trimmed)) return trimmed;
  return `${trimmed.replace(/[\s,^]+/g, "*")}*`;
}
