import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { type Study, searchStudies } from "./dicomweb";

/** As many UIDs as fit an address with ease. */
const BATCH = 50;

/** Those of the studies that are in this archive, by UID. */
export function useStudiesHere(uids: readonly string[]): ReadonlyMap<string, Study> {
  const wanted = [...new Set(uids)].sort();
  const { data } = useQuery({
    queryKey: ["studies-here", wanted],
    queryFn: ({ signal }) => findStudies(wanted, signal),
    enabled: wanted.length > 0,
    placeholderData: keepPreviousData,
  });
  return new Map(data?.map((study) => [study.uid, study]));
}

async function findStudies(uids: string[], signal: AbortSignal): Promise<Study[]> {
  const found: Study[] = [];
  for (let start = 0; start < uids.length; start += BATCH) {
    const batch = uids.slice(start, start + BATCH);
    const asked = new URLSearchParams({ StudyInstanceUID: batch.join(","), limit: String(BATCH) });
    found.push(...(await searchStudies(asked, signal)));
  }
  return found;
}
