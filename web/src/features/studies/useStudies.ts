import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { type Study, searchStudies } from "../../api/dicomweb";
import { mainName } from "../../dicom/json";
import { type Filters, type SortField, toQueries, writeFilters } from "./filters";

const PAGE = 100;
/** While only the first rows are shown, new arrivals appear by themselves. */
const REFRESH_MS = 5_000;

interface Page {
  studies: Study[];
  next: number | undefined;
}

export function useStudies(filters: Filters) {
  return useInfiniteQuery({
    queryKey: ["studies", writeFilters(filters).toString()],
    queryFn: ({ pageParam, signal }) => readPage(filters, pageParam, signal),
    initialPageParam: 0,
    getNextPageParam: (page: Page) => page.next,
    placeholderData: keepPreviousData,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) <= 1 ? REFRESH_MS : false),
    select: (data) => distinct(data.pages.flatMap((page) => page.studies)),
  });
}

/** One row more than a page is asked for: whether it comes tells whether there is a next page. */
async function readPage(filters: Filters, offset: number, signal: AbortSignal): Promise<Page> {
  const queries = toQueries(filters, new Date());
  const answers = await Promise.all(
    queries.map((query) => {
      query.set("limit", String(PAGE + 1));
      query.set("offset", String(offset));
      return searchStudies(query, signal);
    }),
  );
  const hasMore = answers.some((answer) => answer.length > PAGE);
  const rows = answers.flatMap((answer) => answer.slice(0, PAGE));
  const studies = answers.length === 1 ? rows : sorted(distinct(rows), filters.sort, filters.descending);
  return { studies, next: hasMore ? offset + PAGE : undefined };
}

/** A study that arrives while one pages shifts the rows behind it: the same row may then come twice. */
export function distinct(studies: Study[]): Study[] {
  const seen = new Set<string>();
  return studies.filter((study) => !seen.has(study.uid) && seen.add(study.uid));
}

/** The order the server gives, for rows that come from several queries. */
export function sorted(studies: Study[], field: SortField, descending: boolean): Study[] {
  const key = (study: Study): string => {
    switch (field) {
      case "PatientName":
        return mainName(study.patientName);
      case "PatientID":
        return study.patientId;
      case "PatientBirthDate":
        return study.birthDate;
      case "StudyDate":
        return study.date + study.time;
      case "StudyDescription":
        return study.description;
      case "AccessionNumber":
        return study.accession;
    }
  };
  const sign = descending ? -1 : 1;
  return [...studies].sort((a, b) => sign * key(a).localeCompare(key(b)) || a.uid.localeCompare(b.uid));
}
