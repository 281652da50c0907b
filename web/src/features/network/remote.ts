/** Registered remotes, and how they stand in the form. */
import { type Schemas, call } from "../../api/console";
import { orNull } from "../../ui/form";

export type Remote = Schemas["RemoteEntry"];
export type Use = Schemas["DimseUse"];

export const USES: Record<Use, string> = {
  echo: "Echo",
  store: "Store",
  query: "Query",
  retrieve: "Retrieve",
  worklist: "Worklist",
  "procedure-step": "Procedure step",
  commitment: "Commitment",
  workitem: "Workitem",
  availability: "Availability",
  "step-notice": "Step notice",
};

export const REMOTES = {
  queryKey: ["remotes"],
  queryFn: async ({ signal }: { signal: AbortSignal }) => (await call("get", "/remotes", { signal })).remotes,
};

/** What stands in the form: texts as they are typed. */
export interface RemoteForm {
  aeTitle: string;
  host: string;
  port: string;
  network: string;
  usesTls: boolean;
  certificate: string;
  characterSet: string;
  transferSyntaxes: string[];
  mayAsk: Use[];
  mayBeAsked: Use[];
  site: string;
  description: string;
  maxAssociations: string;
}

const ALL = Object.keys(USES) as Use[];

export const NEW_REMOTE: RemoteForm = {
  aeTitle: "",
  host: "",
  port: "104",
  network: "",
  usesTls: false,
  certificate: "",
  characterSet: "",
  transferSyntaxes: [],
  mayAsk: ALL,
  mayBeAsked: ALL.filter((use) => use !== "availability" && use !== "step-notice"),
  site: "",
  description: "",
  maxAssociations: "2",
};

export function toForm(remote: Remote): RemoteForm {
  return {
    aeTitle: remote.ae_title,
    host: remote.host ?? "",
    port: remote.port?.toString() ?? "",
    network: remote.network ?? "",
    usesTls: remote.uses_tls,
    certificate: remote.certificate ?? "",
    characterSet: remote.character_set ?? "",
    transferSyntaxes: remote.transfer_syntaxes,
    mayAsk: remote.may_ask,
    mayBeAsked: remote.may_be_asked,
    site: remote.site ?? "",
    description: remote.description,
    maxAssociations: String(remote.max_associations),
  };
}

export function fromForm(form: RemoteForm): Remote {
  const host = orNull(form.host);
  return {
    ae_title: form.aeTitle.trim(),
    host,
    // Who only calls has no port either.
    port: host === null || form.port.trim() === "" ? null : Number(form.port),
    network: orNull(form.network),
    uses_tls: form.usesTls,
    certificate: form.usesTls ? orNull(form.certificate.replace(/[\s:]/g, "").toLowerCase()) : null,
    character_set: orNull(form.characterSet),
    transfer_syntaxes: form.transferSyntaxes,
    may_ask: form.mayAsk,
    may_be_asked: form.mayBeAsked,
    site: orNull(form.site),
    description: form.description.trim(),
    max_associations: Number(form.maxAssociations),
  };
}

export function addressOf(remote: Remote): string {
  return remote.host ? `${remote.host}:${remote.port}` : "";
}

/** What may be asked, in short: naming what is left out where that is less. */
export function usesInWords(uses: readonly Use[]): string {
  if (uses.length === ALL.length) return "everything";
  if (uses.length === 0) return "nothing";
  if (uses.length > ALL.length - 4) {
    const missing = ALL.filter((use) => !uses.includes(use));
    return `all but ${missing.map((use) => USES[use].toLowerCase()).join(", ")}`;
  }
  return ALL.filter((use) => uses.includes(use))
    .map((use) => USES[use].toLowerCase())
    .join(", ");
}
