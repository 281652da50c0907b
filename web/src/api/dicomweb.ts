/** Questions to the archive over DICOMweb (PS3.18 §10.6), and the rows the pages show. */
import { type Dataset, type PersonName, number, personName, text, texts } from "../dicom/json";
import { TAG } from "../dicom/tags";
import { requestJson } from "./http";

export const DICOMWEB = "/dicom-web";

export interface Study {
  uid: string;
  patientName: PersonName;
  patientId: string;
  issuer: string;
  birthDate: string;
  sex: string;
  date: string;
  time: string;
  modalities: string[];
  description: string;
  accession: string;
  referring: PersonName;
  seriesCount: number | undefined;
  instanceCount: number | undefined;
}

export interface Series {
  uid: string;
  number: number | undefined;
  modality: string;
  description: string;
  bodyPart: string;
  instanceCount: number | undefined;
}

export interface Instance {
  uid: string;
  sopClass: string;
  number: number | undefined;
  title: string;
}

const STUDY_FIELDS = [
  "StudyDescription",
  "ReferringPhysicianName",
  "ModalitiesInStudy",
  "NumberOfStudyRelatedSeries",
  "NumberOfStudyRelatedInstances",
  "IssuerOfPatientID",
];

async function query(path: string, parameters: URLSearchParams, signal: AbortSignal | undefined): Promise<Dataset[]> {
  const init: RequestInit = { headers: { Accept: "application/dicom+json" } };
  if (signal) init.signal = signal;
  return (await requestJson<Dataset[]>(`${DICOMWEB}${path}?${parameters}`, init)) ?? [];
}

export async function searchStudies(parameters: URLSearchParams, signal?: AbortSignal): Promise<Study[]> {
  const asked = new URLSearchParams(parameters);
  asked.set("includefield", STUDY_FIELDS.join(","));
  return (await query("/studies", asked, signal)).map(toStudy);
}

export async function readStudy(uid: string, signal?: AbortSignal): Promise<Study | null> {
  return (await searchStudies(new URLSearchParams({ StudyInstanceUID: uid }), signal))[0] ?? null;
}

/** Other studies of the same patient; the same number from another issuer is another patient. */
export async function searchPriors(study: Study, signal?: AbortSignal): Promise<Study[]> {
  if (study.patientId === "") return [];
  const asked = new URLSearchParams({ PatientID: widened(study.patientId), limit: "101" });
  if (study.issuer !== "") asked.set("IssuerOfPatientID", study.issuer);
  const found = await searchStudies(asked, signal);
  return found.filter(
    (other) => other.uid !== study.uid && other.patientId === study.patientId && other.issuer === study.issuer,
  );
}

/** There is no way to quote a wildcard (PS3.4 §C.2.2.2.4): ask more widely, the caller compares. */
function widened(value: string): string {
  return value.replaceAll("*", "?");
}

export async function searchSeries(studyUid: string, signal?: AbortSignal): Promise<Series[]> {
  const asked = new URLSearchParams({
    includefield: "SeriesDescription,NumberOfSeriesRelatedInstances,BodyPartExamined,SeriesNumber",
    limit: "1000",
  });
  const found = (await query(`/studies/${studyUid}/series`, asked, signal)).map(toSeries);
  return found.sort((a, b) => (a.number ?? Infinity) - (b.number ?? Infinity) || a.uid.localeCompare(b.uid));
}

export async function searchInstances(studyUid: string, seriesUid: string, signal?: AbortSignal): Promise<Instance[]> {
  const asked = new URLSearchParams({ includefield: "DocumentTitle,InstanceNumber", limit: "50" });
  const found = await query(`/studies/${studyUid}/series/${seriesUid}/instances`, asked, signal);
  return found.map(toInstance).sort((a, b) => (a.number ?? Infinity) - (b.number ?? Infinity));
}

export function thumbnailPath(studyUid: string, seriesUid: string): string {
  return `${DICOMWEB}/studies/${studyUid}/series/${seriesUid}/thumbnail`;
}

export function renderedPath(studyUid: string, seriesUid: string, instanceUid: string): string {
  return `${DICOMWEB}/studies/${studyUid}/series/${seriesUid}/instances/${instanceUid}/rendered`;
}

export function viewerPath(studyUid: string): string {
  return `/ohif/viewer?StudyInstanceUIDs=${encodeURIComponent(studyUid)}`;
}

export function toStudy(dataset: Dataset): Study {
  return {
    uid: text(dataset, TAG.StudyInstanceUID),
    patientName: personName(dataset, TAG.PatientName),
    patientId: text(dataset, TAG.PatientID),
    issuer: text(dataset, TAG.IssuerOfPatientID),
    birthDate: text(dataset, TAG.PatientBirthDate),
    sex: text(dataset, TAG.PatientSex),
    date: text(dataset, TAG.StudyDate),
    time: text(dataset, TAG.StudyTime),
    modalities: texts(dataset, TAG.ModalitiesInStudy),
    description: text(dataset, TAG.StudyDescription),
    accession: text(dataset, TAG.AccessionNumber),
    referring: personName(dataset, TAG.ReferringPhysicianName),
    seriesCount: number(dataset, TAG.NumberOfStudyRelatedSeries),
    instanceCount: number(dataset, TAG.NumberOfStudyRelatedInstances),
  };
}

function toSeries(dataset: Dataset): Series {
  return {
    uid: text(dataset, TAG.SeriesInstanceUID),
    number: number(dataset, TAG.SeriesNumber),
    modality: text(dataset, TAG.Modality),
    description: text(dataset, TAG.SeriesDescription),
    bodyPart: text(dataset, TAG.BodyPartExamined),
    instanceCount: number(dataset, TAG.NumberOfSeriesRelatedInstances),
  };
}

function toInstance(dataset: Dataset): Instance {
  return {
    uid: text(dataset, TAG.SOPInstanceUID),
    sopClass: text(dataset, TAG.SOPClassUID),
    number: number(dataset, TAG.InstanceNumber),
    title: text(dataset, TAG.DocumentTitle),
  };
}
