import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Lock, Network, Pencil, Plus, Radio, SearchX, Trash2 } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { call } from "../../api/console";
import { FormDialog } from "../../ui/Dialog";
import { Grid, type GridColumn, SkeletonRows } from "../../ui/Grid";
import { counted, formatSpan } from "../../ui/format";
import { focusAndSelect, useKeys } from "../../ui/keys";
import { PageBar, PageFooter, Spacer, State } from "../../ui/page";
import { EmptyState, ErrorState, SearchBox, messageOf, useTitle } from "../../ui/states";
import { useMay, useSession } from "../session/session";
import { RemoteDialog } from "./RemoteDialog";
import { REMOTES, type Remote, addressOf, usesInWords } from "./remote";

const REFRESH_MS = 10_000;

type Echo = { state: "asking" } | { state: "answered"; seconds: number } | { state: "failed"; reason: string };
type Open = { what: "add" } | { what: "edit" | "remove"; remote: Remote };

/** The registry of remote application entities. */
export function NetworkPage() {
  useTitle("Network");
  const mayChange = useMay("administer");
  const list = useQuery({ ...REMOTES, refetchInterval: REFRESH_MS });
  const [current, setCurrent] = useState<string>();
  const [sought, seek] = useState("");
  const [open, setOpen] = useState<Open>();
  const { echoes, echo } = useEchoes();
  const searchBox = useRef<HTMLInputElement>(null);
  const all = list.data ?? [];
  const remotes = all.filter((remote) => fits(remote, sought));
  const chosen = remotes.find((remote) => remote.ae_title === current);
  const add = () => setOpen({ what: "add" });
  useKeys({ "/": () => focusAndSelect(searchBox.current), ...(mayChange && { n: add, E: () => remotes.forEach(echo) }) });

  return (
    <>
      <PageBar title="Network">
        <SearchBox reference={searchBox} label="Search remotes" value={sought} change={seek} gridId="remotes" />
        <Spacer />
        {mayChange && (
          <>
            <button type="button" className="button" disabled={!chosen?.host} onClick={() => chosen && echo(chosen)}>
              <Radio className="size-4" aria-hidden />
              Echo
            </button>
            <button type="button" className="button" disabled={!chosen} onClick={() => chosen && setOpen({ what: "edit", remote: chosen })}>
              <Pencil className="size-4" aria-hidden />
              Edit
            </button>
            <button type="button" className="button" disabled={!chosen} onClick={() => chosen && setOpen({ what: "remove", remote: chosen })}>
              <Trash2 className="size-4" aria-hidden />
              Remove
            </button>
            <button type="button" className="button button-primary" onClick={add}>
              <Plus className="size-4" aria-hidden />
              Add remote
            </button>
          </>
        )}
      </PageBar>
      <div className="flex min-h-0 flex-1 flex-col border-t border-line">
        <Grid
          id="remotes"
          label="Remotes"
          columns={columns(echoes)}
          rows={remotes}
          keyOf={(remote) => remote.ae_title}
          minWidth="60rem"
          current={current}
          setCurrent={setCurrent}
          open={mayChange ? (remote) => setOpen({ what: "edit", remote }) : undefined}
          keys={mayChange ? { e: echo, Delete: (remote) => setOpen({ what: "remove", remote }) } : {}}
          placeholder={
            list.isPending ? (
              <SkeletonRows label="Loading remotes" />
            ) : list.error ? (
              <ErrorState error={list.error} retry={() => void list.refetch()} />
            ) : all.length > 0 ? (
              <EmptyState icon={<SearchX className="size-6" aria-hidden />} title="No remote matches">
                <button type="button" className="button" onClick={() => seek("")}>
                  Show all
                </button>
              </EmptyState>
            ) : (
              <NothingYet add={mayChange ? add : undefined} />
            )
          }
        />
      </div>
      <PageFooter
        error={list.error}
        status={list.data ? counted(remotes.length, "remote") : ""}
        keys={[["j k", "move"], ...(mayChange ? KEYS : []), ["/", "search"]]}
      />
      {open?.what === "remove" ? (
        <RemoveDialog remote={open.remote} close={() => setOpen(undefined)} />
      ) : (
        open && (
          <RemoteDialog {...(open.what === "edit" && { remote: open.remote })} close={() => setOpen(undefined)} saved={setCurrent} />
        )
      )}
    </>
  );
}

const KEYS: [string, string][] = [
  ["e", "echo"],
  ["E", "echo all"],
  ["Enter", "edit"],
  ["Delete", "remove"],
  ["n", "add"],
];

function columns(echoes: ReadonlyMap<string, Echo>): GridColumn<Remote>[] {
  return [
    { title: "AE title", width: "11rem", cell: (remote) => <span className="font-medium">{remote.ae_title}</span> },
    { title: "Address", width: "minmax(9rem, 1.2fr)", cell: (remote) => <Address remote={remote} /> },
    { title: "Echo", width: "minmax(8rem, 1.4fr)", cell: (remote) => <EchoCell echo={echoes.get(remote.ae_title)} /> },
    { title: "Site", width: "minmax(4rem, 0.7fr)", cell: (remote) => remote.site ?? "" },
    { title: "It may ask for", width: "minmax(8rem, 1.2fr)", cell: (remote) => usesInWords(remote.may_ask) },
    { title: "We may ask for", width: "minmax(8rem, 1.2fr)", cell: (remote) => usesInWords(remote.may_be_asked) },
    { title: "Description", width: "minmax(6rem, 1.2fr)", cell: (remote) => remote.description },
  ];
}

function Address({ remote }: { remote: Remote }) {
  return (
    <span className="inline-flex items-center gap-1.5" title={addressOf(remote) || (remote.network ?? "")}>
      {remote.uses_tls && <Lock className="size-3.5 flex-none text-good" role="img" aria-label="TLS" />}
      {addressOf(remote) || <span className="text-faint">calls only{remote.network ? `, from ${remote.network}` : ""}</span>}
    </span>
  );
}

function EchoCell({ echo }: { echo: Echo | undefined }) {
  switch (echo?.state) {
    case undefined:
      return null;
    case "asking":
      return <State tone="busy">asking…</State>;
    case "answered":
      return <State tone="good">answers in {formatSpan(echo.seconds * 1000)}</State>;
    case "failed":
      return (
        <span title={echo.reason}>
          <State tone="bad">{echo.reason}</State>
        </span>
      );
  }
}

/** C-ECHO to each remote that was asked for it, and what came of the last one. */
function useEchoes() {
  const [echoes, setEchoes] = useState<ReadonlyMap<string, Echo>>(new Map());
  const isShown = useRef(true);
  useEffect(() => {
    isShown.current = true;
    return () => {
      isShown.current = false;
    };
  }, []);
  const echo = async ({ ae_title, host }: Remote) => {
    const note = (said: Echo) => isShown.current && setEchoes((all) => new Map(all).set(ae_title, said));
    if (!host) return;
    note({ state: "asking" });
    try {
      const { seconds } = await call("post", "/remotes/{ae_title}/echo", { path: { ae_title } });
      note({ state: "answered", seconds });
    } catch (failure) {
      note({ state: "failed", reason: messageOf(failure) });
    }
  };
  return { echoes, echo: (remote: Remote) => void echo(remote) };
}

function RemoveDialog({ remote, close }: { remote: Remote; close: () => void }) {
  const queries = useQueryClient();
  const submit = async () => {
    await call("delete", "/remotes/{ae_title}", { path: { ae_title: remote.ae_title } });
    await queries.invalidateQueries({ queryKey: REMOTES.queryKey });
  };
  return (
    <FormDialog title={`Remove ${remote.ae_title}?`} action="Remove" isDangerous close={close} submit={submit}>
      <p>
        It is then a stranger: let in only where strangers are, and nothing goes to it any more. What waits to be forwarded
        there waits on.
      </p>
    </FormDialog>
  );
}

function NothingYet({ add }: { add: (() => void) | undefined }) {
  const session = useSession();
  return (
    <EmptyState icon={<Network className="size-6" aria-hidden />} title="No remotes yet">
      <p>Register the modalities, workstations and archives Hilum works with. They reach it here:</p>
      <p className="rounded-md border border-line bg-panel px-3 py-2 font-medium text-ink">
        {session.ae_title}@{window.location.hostname}:{session.dicom_port}
      </p>
      {add && (
        <button type="button" className="button button-primary" onClick={add}>
          Add remote
        </button>
      )}
    </EmptyState>
  );
}

function fits(remote: Remote, sought: string): boolean {
  const text = [remote.ae_title, addressOf(remote), remote.network, remote.site, remote.description].join(" ").toLowerCase();
  return sought
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
