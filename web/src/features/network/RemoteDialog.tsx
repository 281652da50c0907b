import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { call } from "../../api/console";
import { FormDialog } from "../../ui/Dialog";
import { CheckField, ChipsField, FormSection, ListField, TextField } from "../../ui/form";
import { NEW_REMOTE, REMOTES, type Remote, USES, fromForm, toForm } from "./remote";

/** Adds a remote, or changes the one given. */
export function RemoteDialog({ remote, close, saved }: { remote?: Remote; close: () => void; saved: (aeTitle: string) => void }) {
  const queries = useQueryClient();
  const [form, setForm] = useState(remote ? toForm(remote) : NEW_REMOTE);
  const change = (part: Partial<typeof form>) => setForm({ ...form, ...part });
  const submit = async () => {
    const body = fromForm(form);
    const kept = remote
      ? await call("put", "/remotes/{ae_title}", { path: { ae_title: remote.ae_title }, body })
      : await call("post", "/remotes", { body });
    await queries.invalidateQueries({ queryKey: REMOTES.queryKey });
    saved(kept.ae_title);
  };
  return (
    <FormDialog
      title={remote ? `Edit ${remote.ae_title}` : "Add a remote"}
      action={remote ? "Save" : "Add"}
      close={close}
      submit={submit}
      width="46rem"
    >
      <div className="grid grid-cols-[1fr_1.6fr_6rem] gap-3">
        <TextField label="AE title" value={form.aeTitle} onChange={(aeTitle) => change({ aeTitle })} required maxLength={16} />
        <TextField
          label="Host"
          value={form.host}
          onChange={(host) => change({ host })}
          placeholder="pacs.example.org or 10.1.0.7"
          hint="Where it listens. Empty: it only calls."
        />
        <TextField
          label="Port"
          type="number"
          min={1}
          max={65535}
          value={form.port}
          onChange={(port) => change({ port })}
          required={form.host.trim() !== ""}
        />
      </div>
      <div className="grid grid-cols-2 gap-3">
        <TextField label="Site" value={form.site} onChange={(site) => change({ site })} hint="Rules may ask for it." />
        <TextField label="Description" value={form.description} onChange={(description) => change({ description })} />
      </div>
      <FormSection title="What is allowed">
        <ChipsField label="It may ask us for" value={form.mayAsk} onChange={(mayAsk) => change({ mayAsk })} options={USES} />
        <ChipsField label="We may ask it for" value={form.mayBeAsked} onChange={(mayBeAsked) => change({ mayBeAsked })} options={USES} />
      </FormSection>
      <FormSection title="Security">
        <TextField
          label="Has to call from"
          value={form.network}
          onChange={(network) => change({ network })}
          placeholder="10.1.2.0/24"
          hint="An address or network. Empty: from its host; without a host: from anywhere."
        />
        <CheckField label="Over TLS, whoever calls" checked={form.usesTls} onChange={(usesTls) => change({ usesTls })} />
        {form.usesTls && (
          <TextField
            label="Certificate"
            value={form.certificate}
            onChange={(certificate) => change({ certificate })}
            hint="SHA-256 fingerprint of the one certificate it may show. Empty: any that our authorities have signed."
          />
        )}
      </FormSection>
      <FormSection title="Sending and answering">
        <div className="grid grid-cols-[1fr_10rem] gap-3">
          <TextField
            label="Character set of answers"
            value={form.characterSet}
            onChange={(characterSet) => change({ characterSet })}
            list={["ISO_IR 100", "ISO_IR 101", "ISO_IR 144", "ISO_IR 126", "ISO_IR 138", "ISO_IR 192", "GB18030"]}
            hint="Another is used where this one would lose something."
          />
          <TextField
            label="Associations at a time"
            type="number"
            min={1}
            value={form.maxAssociations}
            onChange={(maxAssociations) => change({ maxAssociations })}
            required
          />
        </div>
        <ListField
          label="Transfer syntaxes it wants"
          value={form.transferSyntaxes}
          onChange={(transferSyntaxes) => change({ transferSyntaxes })}
          hint="UIDs, best first; Enter adds one. None: instances go as they are stored."
        />
      </FormSection>
    </FormDialog>
  );
}
