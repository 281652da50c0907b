import { useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { type SubmitEvent, useId, useState } from "react";
import { Link } from "react-router";
import { type Schemas, call } from "../../api/console";
import type { Study } from "../../api/dicomweb";
import { formatDate, mainName } from "../../dicom/json";
import { Dialog } from "../../ui/Dialog";
import { SelectField } from "../../ui/form";
import { counted } from "../../ui/format";
import { Progress } from "../../ui/page";
import { messageOf } from "../../ui/states";
import { REMOTES, addressOf } from "../network/remote";
import { FORWARDING } from "./data";
import { isQuiet, sumOf } from "./words";

const REFRESH_MS = 1_000;
const URGENCIES = { "0": "Normal", "50": "Urgent: before all that waits" };

/** Sends studies to a remote, and shows how far they are for as long as it is open. */
export function SendDialog({ studies, close }: { studies: Study[]; close: () => void }) {
  const queries = useQueryClient();
  const form = useId();
  const remotes = useQuery(REMOTES);
  const takers = (remotes.data ?? []).filter((remote) => remote.host && remote.may_be_asked.includes("store"));
  const [chosen, choose] = useState<string>();
  const destination = chosen ?? takers[0]?.ae_title ?? "";
  const [priority, setPriority] = useState<keyof typeof URGENCIES>("0");
  /** By study what kept it from being ordered, or nothing; before that, undefined. */
  const [ordered, setOrdered] = useState<ReadonlyMap<string, string>>();
  const [isBusy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (isBusy || destination === "") return;
    setBusy(true);
    const said = new Map<string, string>();
    for (const { uid } of studies) {
      try {
        const body = { destination, priority: Number(priority) };
        await call("post", "/forwarding/studies/{study_instance_uid}", { path: { study_instance_uid: uid }, body });
        said.set(uid, "");
      } catch (failure) {
        said.set(uid, messageOf(failure));
      }
    }
    setOrdered(said);
    void queries.invalidateQueries({ queryKey: FORWARDING });
  };

  const one = studies.length === 1 ? studies[0] : undefined;
  const what = one ? mainName(one.patientName) || "the study" : counted(studies.length, "study", "studies");
  const options = Object.fromEntries(
    takers.map((remote) => [remote.ae_title, [remote.ae_title, remote.site, remote.description || addressOf(remote)].filter(Boolean).join(" · ")]),
  );
  return (
    <Dialog
      title={ordered ? `Sending to ${destination}` : `Send ${what} to…`}
      close={close}
      width="40rem"
      footer={
        ordered ? (
          <>
            <p className="flex-1 text-faint">It goes on when this is closed.</p>
            <button type="button" className="button" onClick={close}>
              Close
            </button>
          </>
        ) : (
          <>
            <button type="button" className="button" onClick={close}>
              Cancel
            </button>
            <button type="submit" form={form} className="button button-primary" disabled={isBusy || destination === ""}>
              Send
            </button>
          </>
        )
      }
    >
      {ordered ? (
        <Sending studies={studies} destination={destination} refusals={ordered} />
      ) : (
        <form id={form} onSubmit={submit} className="flex flex-col gap-4 overflow-auto px-5 py-4">
          {remotes.data && takers.length === 0 ? (
            <p>
              No remote takes instances: its entry in the{" "}
              <Link to="/network" className="text-accent underline">
                network
              </Link>{" "}
              needs an address and has to let us store.
            </p>
          ) : (
            <>
              <SelectField label="To" value={destination} onChange={choose} options={options} />
              <SelectField label="Urgency" value={priority} onChange={setPriority} options={URGENCIES} />
            </>
          )}
          {remotes.error && (
            <p role="alert" className="text-danger">
              {messageOf(remotes.error)}
            </p>
          )}
        </form>
      )}
    </Dialog>
  );
}

interface SendingProps {
  studies: Study[];
  destination: string;
  refusals: ReadonlyMap<string, string>;
}

function Sending({ studies, destination, refusals }: SendingProps) {
  const states = useQueries({
    queries: studies.map(({ uid }) => ({
      queryKey: [...FORWARDING, "of-study", uid, destination],
      queryFn: async ({ signal }: { signal: AbortSignal }) => {
        const query = { destination, study_instance_uid: uid };
        return (await call("get", "/forwarding/studies", { query, signal })).studies[0] ?? null;
      },
      enabled: refusals.get(uid) === "",
      refetchInterval: ({ state }: { state: { data?: Schemas["StudyEntry"] | null | undefined } }) =>
        state.data && isQuiet(state.data.instances) ? (false as const) : REFRESH_MS,
    })),
  });
  return (
    <ul className="flex min-h-0 flex-col overflow-auto px-5 py-2">
      {studies.map((study, index) => {
        const data = states[index]?.data;
        const trouble = refusals.get(study.uid) || (data?.instances.sent === sumOf(data?.instances ?? {}) ? "" : data?.error);
        return (
          <li key={study.uid} className="grid grid-cols-[1fr_13rem] items-center gap-x-4 border-b border-line/60 py-2 last:border-0">
            <span className="truncate">
              <bdi className="font-medium">{mainName(study.patientName) || "(no name)"}</bdi>
              <span className="text-dim"> · {[formatDate(study.date), study.description].filter(Boolean).join(" · ")}</span>
            </span>
            {data && <Progress label="Sent" done={data.instances.sent ?? 0} of={sumOf(data.instances)} />}
            {trouble && <span className="col-span-2 text-danger">{trouble}</span>}
          </li>
        );
      })}
    </ul>
  );
}
