/** Reading of the DICOM JSON Model (PS3.18 §F.2). */

export interface Element {
  vr: string;
  Value?: unknown[];
  BulkDataURI?: string;
  InlineBinary?: string;
}

export type Dataset = Record<string, Element>;

/** A person's name in the forms it was sent in (PS3.5 §6.2.1.1). */
export interface PersonName {
  alphabetic: string;
  ideographic: string;
  phonetic: string;
}

export const NO_NAME: PersonName = { alphabetic: "", ideographic: "", phonetic: "" };

export function texts(dataset: Dataset, tag: string): string[] {
  const values = dataset[tag]?.Value ?? [];
  return values.filter((value) => typeof value === "string" || typeof value === "number").map(String);
}

export function text(dataset: Dataset, tag: string): string {
  return texts(dataset, tag)[0] ?? "";
}

/** The first value as a number: IS and DS may come as numbers or as strings. */
export function number(dataset: Dataset, tag: string): number | undefined {
  const value = text(dataset, tag).trim();
  if (value === "") return undefined;
  const parsed = Number(value);
  return Number.isFinite(parsed) ? parsed : undefined;
}

export function items(dataset: Dataset, tag: string): Dataset[] {
  const values = dataset[tag]?.Value ?? [];
  return values.filter((value): value is Dataset => typeof value === "object" && value !== null);
}

export function personName(dataset: Dataset, tag: string): PersonName {
  const value = dataset[tag]?.Value?.[0];
  if (typeof value === "string") return { ...NO_NAME, alphabetic: formatName(value) };
  if (typeof value !== "object" || value === null) return NO_NAME;
  const groups = value as Record<string, unknown>;
  const group = (name: string) => (typeof groups[name] === "string" ? formatName(groups[name]) : "");
  return { alphabetic: group("Alphabetic"), ideographic: group("Ideographic"), phonetic: group("Phonetic") };
}

/** `family^given^middle^prefix^suffix` as "family, prefix given middle, suffix". */
export function formatName(group: string): string {
  const [family = "", given = "", middle = "", prefix = "", suffix = ""] = group.split("^").map((part) => part.trim());
  const first = [prefix, given, middle].filter(Boolean).join(" ");
  return [family, first, suffix].filter(Boolean).join(", ");
}

/** The form to show first; a name may have come in a foreign script alone. */
export function mainName(name: PersonName): string {
  return name.alphabetic || name.ideographic || name.phonetic;
}

/** The further forms, for showing beside the main one. */
export function otherNames(name: PersonName): string[] {
  const main = mainName(name);
  return [name.ideographic, name.phonetic].filter((form) => form !== "" && form !== main);
}

/** DA as ISO date; what is no date is shown as it came. */
export function formatDate(date: string): string {
  const parts = /^(\d{4})\.?(\d{2})\.?(\d{2})$/.exec(date.trim());
  return parts ? `${parts[1]}-${parts[2]}-${parts[3]}` : date.trim();
}

/** TM as hours and minutes. */
export function formatTime(time: string): string {
  const parts = /^(\d{2}):?(\d{2})?/.exec(time.trim());
  return parts ? `${parts[1]}:${parts[2] ?? "00"}` : time.trim();
}

/** Age on a day, in the unit paediatrics would use: days, months, or years; empty if a date is missing or wrong. */
export function ageOn(birthDate: string, onDate: string): string {
  const birth = calendarDay(birthDate);
  const day = calendarDay(onDate);
  if (!birth || !day || day < birth) return "";
  let months = (day.getUTCFullYear() - birth.getUTCFullYear()) * 12 + day.getUTCMonth() - birth.getUTCMonth();
  if (day.getUTCDate() < birth.getUTCDate()) months -= 1;
  if (months >= 24) return `${Math.floor(months / 12)} y`;
  if (months >= 2) return `${months} mo`;
  return `${Math.round((day.getTime() - birth.getTime()) / 86_400_000)} d`;
}

function calendarDay(date: string): Date | undefined {
  const parts = /^(\d{4})(\d{2})(\d{2})$/.exec(date.replaceAll(".", "").trim());
  if (!parts) return undefined;
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])];
  const result = new Date(Date.UTC(year, month - 1, day));
  return result.getUTCMonth() === month - 1 && result.getUTCDate() === day ? result : undefined;
}
