import { useQuery, useQueryClient } from "@tanstack/react-query";
import { BadgeCheck, Plus, ScrollText } from "lucide-react";
import { useState } from "react";
import { call } from "../../api/console";
import { Dialog, FormDialog } from "../../ui/Dialog";
import { SelectField, TextField } from "../../ui/form";
import { counted, formatMoment } from "../../ui/format";
import { Grid, type GridColumn, SkeletonRows } from "../../ui/Grid";
import { useKeys } from "../../ui/keys";
import { PageBar, PageFooter, Progress, Spacer, State, Tabs } from "../../ui/page";
import { EmptyState, ErrorState, messageOf } from "../../ui/states";
import { REMOTES } from "../network/remote";
import { type Commitment, DIRECTIONS, commitmentState, failureInWords } from "./commitment";
import { TABS } from "./tabs";

const REFRESH_MS = 2_000;
const COMMITMENTS = ["commitments"];

/** What remotes asked us to answer for, and what we asked of them. */
export function Commitments() {
  const [current, setCurrent] = useState<string>();
  const [opened, open] = useState<Commitment>();
  const [isAsking, setAsking] = useState(false);
  const list = useQuery({
    queryKey: COMMITMENTS,
    queryFn: async ({ signal }) => (await call("get", "/commitments", { signal })).commitments,
    refetchInterval: REFRESH_MS,
  });
  const commitments = list.data ?? [];
  const chosen = commitments.find((each) => String(each.id) === current);
  const ask = () => setAsking(true);
  useKeys({ n: ask });
  return (
    <>
      <PageBar title="Jobs">
        <Tabs label="Jobs" tabs={TABS} />
        <Spacer />
        <button type="button" className="button" disabled={!chosen} onClick={() => open(chosen)}>
          <ScrollText className="size-4" aria-hidden />
          Details
        </button>
        <button type="button" className="button button-primary" onClick={ask}>
          <Plus className="size-4" aria-hidden />
          Ask a remote
        </button>
      </PageBar>
      <div className="flex min-h-0 flex-1 flex-col border-t border-line">
        <Grid
          id="commitments"
          label="Commitments"
          columns={COLUMNS}
          rows={commitments}
          keyOf={(each) => String(each.id)}
          minWidth="60rem"
          current={current}
          setCurrent={setCurrent}
          open={open}
          placeholder={
            list.isPending ? (
              <SkeletonRows label="Loading commitments" />
            ) : list.error ? (
              <ErrorState error={list.error} retry={() => void list.refetch()} />
            ) : (
              <EmptyState icon={<BadgeCheck className="size-6" aria-hidden />} title="Nobody has asked for a commitment">
                <p>A modality may ask Hilum to answer for what it has sent; Hilum may ask another archive the same.</p>
              </EmptyState>
            )
          }
        />
      </div>
      <PageFooter
        error={list.error}
        status={list.data ? counted(commitments.length, "commitment") : ""}
        keys={[
          ["j k", "move"],
          ["Enter", "details"],
          ["n", "ask"],
        ]}
      />
      {opened && <CommitmentDialog commitment={opened} close={() => open(undefined)} />}
      {isAsking && <AskDialog close={() => setAsking(false)} saved={(id) => setCurrent(String(id))} />}
    </>
  );
}

const COLUMNS: GridColumn<Commitment>[] = [
  { title: "No.", width: "5rem", isNumber: true, cell: (each) => each.id },
  { title: "State", width: "14rem", cell: (each) => <CommitmentState commitment={each} /> },
  { title: "Remote", width: "minmax(8rem, 1fr)", cell: (each) => <span className="font-medium">{each.remote}</span> },
  { title: "Who asked", width: "8rem", cell: (each) => DIRECTIONS[each.direction] },
  { title: "Instances committed", width: "14rem", cell: (each) => <Progress label="Committed" done={each.committed_count} of={each.instance_count} /> },
  {
    title: "Not committed",
    width: "8rem",
    isNumber: true,
    cell: (each) => <span className={each.failed_count > 0 ? "text-danger" : "text-faint"}>{each.failed_count.toLocaleString("en")}</span>,
  },
  { title: "Asked", width: "12rem", cell: (each) => <span className="tabular-nums">{formatMoment(each.requested_at)}</span> },
  { title: "Transaction UID", width: "minmax(12rem, 2fr)", cell: (each) => each.transaction_uid },
];

function CommitmentState({ commitment }: { commitment: Commitment }) {
  const { title, tone } = commitmentState(commitment);
  return <State tone={tone}>{title}</State>;
}

function CommitmentDialog({ commitment, close }: { commitment: Commitment; close: () => void }) {
  const { data, error } = useQuery({
    queryKey: [...COMMITMENTS, commitment.id],
    queryFn: ({ signal }) => call("get", "/commitments/{commitment_id}", { path: { commitment_id: commitment.id }, signal }),
    refetchInterval: REFRESH_MS,
  });
  const shown = data ?? commitment;
  return (
    <Dialog title={`Commitment ${commitment.id}: ${DIRECTIONS[commitment.direction]}, ${commitment.remote}`} close={close} width="48rem">
      <div className="flex flex-col gap-3 overflow-auto px-5 py-4">
        <p>
          <CommitmentState commitment={shown} />: {shown.committed_count.toLocaleString("en")} of {counted(shown.instance_count, "instance")}
        </p>
        <dl className="grid grid-cols-[9rem_1fr] gap-y-1.5">
          <dt className="text-dim">Transaction UID</dt>
          <dd className="break-words">{shown.transaction_uid}</dd>
          <dt className="text-dim">Asked</dt>
          <dd className="tabular-nums">{formatMoment(shown.requested_at)}</dd>
          <dt className="text-dim">The other side heard</dt>
          <dd className="tabular-nums">{formatMoment(shown.sent_at) || "not yet"}</dd>
        </dl>
        {error && (
          <p role="alert" className="text-danger">
            {messageOf(error)}
          </p>
        )}
        {data && data.failures.length > 0 && (
          <ul aria-label="Not committed" className="flex flex-col gap-1 border-t border-line pt-3">
            {data.failures.map((failure) => (
              <li key={failure.sop_instance_uid} className="flex gap-4">
                <span className="min-w-0 flex-1 truncate" title={failure.sop_instance_uid}>
                  {failure.sop_instance_uid}
                </span>
                <span className="text-danger">{failureInWords(failure.failure_reason)}</span>
              </li>
            ))}
          </ul>
        )}
      </div>
    </Dialog>
  );
}

function AskDialog({ close, saved }: { close: () => void; saved: (id: number) => void }) {
  const queries = useQueryClient();
  const remotes = useQuery(REMOTES);
  const askable = remotes.data?.filter((remote) => remote.host && remote.may_be_asked.includes("commitment")) ?? [];
  const [chosen, choose] = useState<string>();
  const remote = chosen ?? askable[0]?.ae_title ?? "";
  const [study, setStudy] = useState("");
  const submit = async () => {
    const made = await call("post", "/commitments", { body: { remote, study_instance_uid: study.trim() } });
    await queries.invalidateQueries({ queryKey: COMMITMENTS });
    saved(made.id);
  };
  return (
    <FormDialog title="Ask a remote to answer for a study" action="Ask" close={close} submit={submit}>
      <SelectField
        label="Remote"
        value={remote}
        onChange={choose}
        options={Object.fromEntries(askable.map(({ ae_title: title }) => [title, title]))}
        {...(remotes.data && askable.length === 0 && { hint: "No remote in the network may be asked for commitment." })}
      />
      <TextField label="Study Instance UID" value={study} onChange={setStudy} required hint="A study of ours that the remote has been sent." />
    </FormDialog>
  );
}
