import { useQuery, useQueryClient } from "@tanstack/react-query";
import { CloudDownload, DatabaseZap, Network, Search, SearchX } from "lucide-react";
import { type RefObject, type SubmitEvent, useRef, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { call } from "../../api/console";
import { type Study, toStudy } from "../../api/dicomweb";
import { useStudiesHere } from "../../api/useStudiesHere";
import type { Dataset } from "../../dicom/json";
import { Grid, type GridColumn, SkeletonRows } from "../../ui/Grid";
import { counted } from "../../ui/format";
import { focusAndSelect, useKeys } from "../../ui/keys";
import { useNotices } from "../../ui/notices";
import { PageBar, PageFooter, Spacer, State } from "../../ui/page";
import { EmptyState, ErrorState, FetchingLine, useTitle } from "../../ui/states";
import { useChoice } from "../../ui/useChoice";
import { REMOTES, type Remote } from "../network/remote";
import { COLUMNS } from "../studies/columns";
import { MODALITIES } from "../studies/filters";
import { PULLS, Pulls } from "./Pulls";
import { type Question, readQuestion, toQuery, writeQuestion } from "./question";

/** Asks other archives for studies, and brings them in. */
export function RemotePage() {
  useTitle("Remote archives");
  const [address, setAddress] = useSearchParams();
  const asked = address.has("remote") ? readQuestion(address) : undefined;
  const remotes = useQuery(REMOTES);
  const archives = remotes.data?.filter((remote) => remote.host && remote.may_be_asked.includes("query")) ?? [];
  const found = useMatches(asked);
  // What was found before is no answer to a question that failed.
  const matches = found.error ? [] : (found.data?.studies ?? []);
  const here = useStudiesHere(matches.map((study) => study.uid));
  const known = new Map(matches.map((study) => [study.uid, study]));
  const { current, setCurrent, ticked, setTicked, chosen } = useChoice(matches, (study) => study.uid);
  const pull = usePull(asked?.remote ?? "");
  const nameBox = useRef<HTMLInputElement>(null);
  const pullChosen = () => {
    void pull(chosen);
    setTicked(new Set());
  };
  useKeys({ "/": () => focusAndSelect(nameBox.current), p: () => chosen.length > 0 && pullChosen() });

  return (
    <>
      <PageBar title="Remote archives">
        {archives.length > 0 && (
          <QuestionForm
            key={address.toString()}
            archives={archives}
            asked={asked ?? readQuestion(address)}
            nameBox={nameBox}
            ask={(question) => {
              // Asked once more, the same question is a new one.
              if (writeQuestion(question).toString() === address.toString()) void found.refetch();
              else setAddress(writeQuestion(question));
            }}
          />
        )}
        <Spacer />
        <button type="button" className="button button-primary" disabled={chosen.length === 0} onClick={pullChosen}>
          <CloudDownload className="size-4" aria-hidden />
          Pull {chosen.length > 1 ? counted(chosen.length, "study", "studies") : ""}
        </button>
      </PageBar>
      <FetchingLine active={found.isFetching} />
      <div className="flex min-h-0 flex-1 flex-col border-t border-line">
        <Grid
          id="matches"
          label="Studies found"
          columns={columns(here)}
          rows={matches}
          keyOf={(study) => study.uid}
          minWidth="74rem"
          current={current}
          setCurrent={setCurrent}
          ticked={ticked}
          setTicked={setTicked}
          open={(study) => void pull([study])}
          autoFocus={false}
          placeholder={
            remotes.error ? (
              <ErrorState error={remotes.error} retry={() => void remotes.refetch()} />
            ) : remotes.data && archives.length === 0 ? (
              <NoArchive />
            ) : found.error ? (
              <ErrorState error={found.error} retry={() => void found.refetch()} />
            ) : found.isFetching ? (
              <SkeletonRows label="Asking the remote" />
            ) : found.data ? (
              <EmptyState icon={<SearchX className="size-6" aria-hidden />} title={`${asked?.remote} has no such study`}>
                <p>Loosen the question, or ask another archive.</p>
              </EmptyState>
            ) : (
              <EmptyState icon={<DatabaseZap className="size-6" aria-hidden />} title="Ask another archive">
                <p>Choose a remote and say what you look for; without anything its first 200 studies are shown.</p>
              </EmptyState>
            )
          }
        />
      </div>
      <Pulls known={known} />
      <PageFooter
        status={
          found.data && !found.error
            ? `${counted(matches.length, "study", "studies")} at ${asked?.remote}${found.data.isComplete ? "" : "; there may be more"}`
            : ""
        }
        keys={[
          ["j k", "move"],
          ["Space", "tick"],
          ["Enter", "pull"],
          ["p", "pull ticked"],
          ["/", "name"],
        ]}
      />
    </>
  );
}

function useMatches(asked: Question | undefined) {
  return useQuery({
    queryKey: ["remote-find", asked && writeQuestion(asked).toString()],
    queryFn: async ({ signal }) => {
      if (!asked) return { studies: [], isComplete: true };
      const path = { ae_title: asked.remote };
      const answer = await call("post", "/remotes/{ae_title}/find", { path, body: toQuery(asked), signal });
      return { studies: answer.matches.map((match) => toStudy(match as Dataset)), isComplete: answer.is_complete };
    },
    enabled: asked !== undefined,
    // It is another archive's time: asked when a person asks, and never by itself.
    staleTime: Infinity,
    retry: false,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
}

function usePull(remote: string) {
  const queries = useQueryClient();
  const { attempt } = useNotices();
  return async (studies: Study[]) => {
    for (const study of studies) {
      await attempt(() =>
        call("post", "/remotes/{ae_title}/pull", {
          path: { ae_title: remote },
          body: { study_instance_uid: study.uid, way: "auto", priority: 0 },
        }),
      );
      void queries.invalidateQueries({ queryKey: PULLS });
    }
  };
}

interface FormProps {
  archives: Remote[];
  asked: Question;
  nameBox: RefObject<HTMLInputElement | null>;
  ask: (question: Question) => void;
}

function QuestionForm({ archives, asked, nameBox, ask }: FormProps) {
  const [question, setQuestion] = useState<Question>({ ...asked, remote: asked.remote || (archives[0]?.ae_title ?? "") });
  const change = (part: Partial<Question>) => setQuestion({ ...question, ...part });
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    ask(question);
    document.getElementById("matches")?.focus();
  };
  const text = (field: "name" | "id" | "accession", title: string, width: string) => (
    <input
      {...(field === "name" && { ref: nameBox })}
      aria-label={title}
      placeholder={title}
      className={`field ${width}`}
      value={question[field]}
      onChange={(event) => change({ [field]: event.target.value })}
    />
  );
  const day = (field: "from" | "to") => (
    <input
      type="date"
      aria-label={`Study date ${field}`}
      className="field w-[9.5rem]"
      value={question[field]}
      onChange={(event) => change({ [field]: event.target.value })}
    />
  );
  return (
    <form role="search" onSubmit={submit} className="contents">
      <select aria-label="Remote" className="field" value={question.remote} onChange={(event) => change({ remote: event.target.value })}>
        {archives.map((remote) => (
          <option key={remote.ae_title} value={remote.ae_title}>
            {remote.ae_title}
            {remote.site ? ` (${remote.site})` : ""}
          </option>
        ))}
      </select>
      {text("name", "Patient name", "w-[11rem]")}
      {text("id", "Patient ID", "w-[7.5rem]")}
      {text("accession", "Accession", "w-[7.5rem]")}
      <select aria-label="Modality" className="field" value={question.modality} onChange={(event) => change({ modality: event.target.value })}>
        <option value="">Any modality</option>
        {MODALITIES.map((code) => (
          <option key={code}>{code}</option>
        ))}
      </select>
      <span className="flex items-center gap-1">
        {day("from")}
        <span className="text-faint">–</span>
        {day("to")}
      </span>
      <button type="submit" className="button">
        <Search className="size-4" aria-hidden />
        Search
      </button>
    </form>
  );
}

const SHOWN = new Set(["Patient", "Patient ID", "Born", "Sex", "Study date", "Modality", "Description", "Accession", "Series", "Images"]);

function columns(here: ReadonlyMap<string, Study>): GridColumn<Study>[] {
  // As in the study list, but that a name leads nowhere while the study is not here.
  const shared = COLUMNS.filter((column) => SHOWN.has(column.title)).map(({ title, width, isNumber, cell, away }) => ({
    title,
    width,
    ...(isNumber && { isNumber }),
    cell: (study: Study) => (away && !here.has(study.uid) ? away(study) : cell(study)),
  }));
  return [
    { title: "Here", width: "7rem", cell: (study) => <Here there={study} here={here.get(study.uid)} /> },
    ...shared,
  ];
}

function Here({ there, here }: { there: Study; here: Study | undefined }) {
  if (!here) return <span className="text-faint">no</span>;
  const [have, want] = [here.instanceCount ?? 0, there.instanceCount];
  if (want === undefined || have >= want) return <State tone="good">yes</State>;
  return (
    <State tone="warning">
      {have.toLocaleString("en")} of {want.toLocaleString("en")}
    </State>
  );
}

function NoArchive() {
  return (
    <EmptyState icon={<Network className="size-6" aria-hidden />} title="No remote may be asked">
      <p>A remote is asked when its entry in the network has an address and lets us query it.</p>
      <Link to="/network" className="button">
        Go to the network
      </Link>
    </EmptyState>
  );
}
