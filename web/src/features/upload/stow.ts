/** STOW-RS (PS3.18 §10.5): the request's body and what the answer says of each instance. */
import { type Dataset, items, number, text } from "../../dicom/json";
import { TAG } from "../../dicom/tags";

export interface Verdict {
  /** Empty for what did not get far enough to be named. */
  sopInstanceUid: string;
  outcome: "stored" | "refused";
  /** A warning of something stored, or why it was refused. */
  reason: string;
}

export interface StowBody {
  body: Blob;
  contentType: string;
}

/** One multipart body over files that stay on disk: a Blob of Blobs is read when it is sent. */
export function stowBody(files: Blob[], boundary: string): StowBody {
  const parts: BlobPart[] = [];
  for (const file of files) {
    parts.push(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`, file, "\r\n");
  }
  parts.push(`--${boundary}--\r\n`);
  return {
    body: new Blob(parts),
    contentType: `multipart/related; type="application/dicom"; boundary=${boundary}`,
  };
}

export function readVerdicts(answer: Dataset): Verdict[] {
  const stored = items(answer, TAG.ReferencedSOPSequence).map((item): Verdict => {
    const warning = number(item, TAG.WarningReason);
    const reason = warning === undefined ? "" : warningText(warning);
    return { sopInstanceUid: text(item, TAG.ReferencedSOPInstanceUID), outcome: "stored", reason };
  });
  const failures = [...items(answer, TAG.FailedSOPSequence), ...items(answer, TAG.OtherFailuresSequence)];
  const refused = failures.map((item): Verdict => {
    const reason = text(item, TAG.ErrorComment) || failureText(number(item, TAG.FailureReason) ?? 0);
    return { sopInstanceUid: text(item, TAG.ReferencedSOPInstanceUID), outcome: "refused", reason };
  });
  return [...stored, ...refused];
}

/** PS3.18 Table I.2-2, and the ranges of PS3.4 Table B.2-1. */
export function failureText(reason: number): string {
  if (reason === 0x0110) return "The server failed while storing it";
  if (reason === 0x0111) return "Already there with other content";
  if (reason === 0x0122) return "Its SOP class is not accepted";
  if (reason === 0x0124) return "You may not store here";
  if (reason === 0xc122) return "Its transfer syntax is not accepted";
  if (reason >= 0xa700 && reason <= 0xa7ff) return "The server is out of resources";
  if (reason >= 0xa900 && reason <= 0xa9ff) return "It does not match its SOP class";
  if (reason >= 0xc000 && reason <= 0xcfff) return "Damaged, or an identifier is missing";
  return `Refused (${code(reason)})`;
}

function warningText(reason: number): string {
  if (reason === 0xb000) return "Stored with changed values";
  if (reason === 0xb006) return "Stored without some elements";
  if (reason === 0xb007) return "Stored, though it does not match its SOP class";
  return `Stored with a warning (${code(reason)})`;
}

function code(reason: number): string {
  return reason.toString(16).toUpperCase().padStart(4, "0");
}
