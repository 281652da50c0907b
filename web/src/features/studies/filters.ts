/** What the study list is asked for. It lives in the address, so that reload, back and links keep it. */

export const SORTABLE = ["PatientName", "PatientID", "PatientBirthDate", "StudyDate", "StudyDescription", "AccessionNumber"] as const;
export type SortField = (typeof SORTABLE)[number];

export const MODALITIES = ["CT", "MR", "US", "DX", "CR", "MG", "XA", "RF", "NM", "PT", "ECG", "SR"] as const;

export const PERIODS = { today: "Today", yesterday: "Yesterday", week: "7 days", month: "30 days" } as const;
export type Period = keyof typeof PERIODS;

export interface Filters {
  quick: string;
  name: string;
  id: string;
  description: string;
  accession: string;
  referring: string;
  modalities: string[];
  period: Period | "";
  from: string;
  to: string;
  sort: SortField;
  descending: boolean;
}

export const NO_FILTERS: Filters = {
  quick: "",
  name: "",
  id: "",
  description: "",
  accession: "",
  referring: "",
  modalities: [],
  period: "",
  from: "",
  to: "",
  sort: "StudyDate",
  descending: true,
};

const TEXT_FIELDS = ["quick", "name", "id", "description", "accession", "referring", "from", "to"] as const;

export function readFilters(address: URLSearchParams): Filters {
  const filters = { ...NO_FILTERS, modalities: (address.get("modality") ?? "").split(",").filter(Boolean) };
  for (const field of TEXT_FIELDS) filters[field] = address.get(field) ?? "";
  const period = address.get("period") ?? "";
  if (Object.hasOwn(PERIODS, period)) filters.period = period as Period;
  const sort = address.get("sort") ?? "";
  const field = sort.replace(/^-/, "");
  if ((SORTABLE as readonly string[]).includes(field)) {
    filters.sort = field as SortField;
    filters.descending = sort.startsWith("-");
  }
  return filters;
}

export function writeFilters(filters: Filters): URLSearchParams {
  const address = new URLSearchParams();
  for (const field of TEXT_FIELDS) if (filters[field] !== "") address.set(field, filters[field]);
  if (filters.modalities.length > 0) address.set("modality", filters.modalities.join(","));
  if (filters.period !== "") address.set("period", filters.period);
  if (filters.sort !== NO_FILTERS.sort || filters.descending !== NO_FILTERS.descending) {
    address.set("sort", (filters.descending ? "-" : "") + filters.sort);
  }
  return address;
}

/** Whether anything narrows the list: an empty list then means "nothing found", not "nothing here". */
export function isNarrowed(filters: Filters): boolean {
  const address = writeFilters(filters);
  address.delete("sort");
  return address.size > 0;
}

/**
 * The QIDO-RS queries whose answers together are the list. One, except for the quick search: DICOM has no "or", so
 * name, patient ID and accession number are asked for side by side.
 */
export function toQueries(filters: Filters, today: Date): URLSearchParams[] {
  const query = new URLSearchParams();
  const contains: [string, string][] = [
    ["PatientName", filters.name],
    ["PatientID", filters.id],
    ["StudyDescription", filters.description],
    ["AccessionNumber", filters.accession],
    ["ReferringPhysicianName", filters.referring],
  ];
  for (const [keyword, value] of contains) if (value.trim() !== "") query.set(keyword, containing(value));
  if (filters.modalities.length > 0) query.set("ModalitiesInStudy", filters.modalities.join("\\"));
  const dates = dateRange(filters, today);
  if (dates !== "") query.set("StudyDate", dates);
  query.set("sort", (filters.descending ? "-" : "") + filters.sort);
  const quick = filters.quick.trim();
  if (quick === "") return [query];
  // Matching heeds case but for names; numbers with letters in them are written in capitals almost everywhere.
  const asTyped = ["PatientName", "PatientID", "AccessionNumber"].map((keyword) => [keyword, quick] as const);
  const capitals = quick.toUpperCase();
  const inCapitals = ["PatientID", "AccessionNumber"].map((keyword) => [keyword, capitals] as const);
  return [...asTyped, ...(capitals === quick ? [] : inCapitals)]
    .filter(([keyword]) => !query.has(keyword))
    .map(([keyword, value]) => {
      const one = new URLSearchParams(query);
      one.set(keyword, containing(value));
      return one;
    });
}

/** A wildcard pattern; who types wildcards means them. A comma or space between names stands for any separator. */
function containing(value: string): string {
  const trimmed = value.trim();
  if (/[*?]/.test(trimmed)) return trimmed;
  return `*${trimmed.replace(/[\s,^]+/g, "*")}*`;
}

function dateRange(filters: Filters, today: Date): string {
  const dayBefore = (days: number) => dicomDate(new Date(today.getFullYear(), today.getMonth(), today.getDate() - days));
  switch (filters.period) {
    case "today":
      return dayBefore(0);
    case "yesterday":
      return dayBefore(1);
    case "week":
      return `${dayBefore(6)}-`;
    case "month":
      return `${dayBefore(29)}-`;
    case "": {
      const [from, to] = [filters.from.replaceAll("-", ""), filters.to.replaceAll("-", "")];
      return from === "" && to === "" ? "" : `${from}-${to}`;
    }
  }
}

function dicomDate(day: Date): string {
  return [day.getFullYear(), day.getMonth() + 1, day.getDate()].map((part) => String(part).padStart(2, "0")).join("");
}
