/** A look into DICOM files (PS3.10 §7.1), just enough to know one and to find it again in the server's answer. */

export interface FileMeta {
  sopClassUid: string;
  sopInstanceUid: string;
}

/** As many bytes as the file meta information needs, private parts of ordinary size included. */
export const META_BYTES = 4096;

const DIRECTORY_CLASS = "1.2.840.10008.1.3.10";
const LONG_FORM = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);

/**
 * The file's class and instance UID as far as it tells them, or undefined if this is no DICOM file. Old programs leave
 * out the preamble and begin with the data set: the server takes that too.
 */
export function readFileMeta(start: ArrayBuffer): FileMeta | undefined {
  const view = new DataView(start);
  const meta: FileMeta = { sopClassUid: "", sopInstanceUid: "" };
  const hasPreamble = start.byteLength >= 132 && ascii(view, 128, 4) === "DICM";
  if (!hasPreamble && !beginsWithDataSet(view)) return undefined;
  let at = hasPreamble ? 132 : 0;
  while (at + 8 <= start.byteLength && view.getUint16(at, true) === 0x0002) {
    const element = view.getUint16(at + 2, true);
    const isLong = LONG_FORM.has(ascii(view, at + 4, 2));
    if (isLong && at + 12 > start.byteLength) break;
    const length = isLong ? view.getUint32(at + 8, true) : view.getUint16(at + 6, true);
    const value = at + (isLong ? 12 : 8);
    if (value + length > start.byteLength) break;
    if (element === 0x0002) meta.sopClassUid = uid(view, value, length);
    if (element === 0x0003) meta.sopInstanceUid = uid(view, value, length);
    at = value + length;
  }
  return meta;
}

export function isDirectory(meta: FileMeta): boolean {
  return meta.sopClassUid === DIRECTORY_CLASS;
}

function beginsWithDataSet(view: DataView): boolean {
  if (view.byteLength < 8) return false;
  const [group, element] = [view.getUint16(0, true), view.getUint16(2, true)];
  return (group === 0x0002 && element <= 0x0003) || (group === 0x0008 && element <= 0x0018);
}

function uid(view: DataView, at: number, length: number): string {
  return ascii(view, at, length).replace(/[\0 ]+$/, "");
}

function ascii(view: DataView, at: number, length: number): string {
  let text = "";
  for (let index = at; index < at + length; index += 1) text += String.fromCharCode(view.getUint8(index));
  return text;
}
