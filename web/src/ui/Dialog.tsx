import { X } from "lucide-react";
import { type ReactNode, type SubmitEvent, useId, useLayoutEffect, useRef, useState } from "react";
import { messageOf } from "./states";

interface Props {
  title: string;
  close: () => void;
  children: ReactNode;
  /** Stands at the bottom right; without it there is one button to close. */
  footer?: ReactNode;
  width?: string;
}

/** A modal window: the rest of the page waits, Escape closes it, and the keyboard returns to where it was. */
export function Dialog({ title, close, children, footer, width = "34rem" }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // By itself the first button, that of closing, would have the keyboard.
    (element?.querySelector<HTMLElement>("form input, form select, form textarea") ?? element?.querySelector<HTMLElement>("footer button"))?.focus();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      className="m-auto max-h-[92vh] max-w-[94vw] flex-col overflow-hidden rounded-xl border border-line bg-panel p-0 text-ink shadow-2xl shadow-black/60 backdrop:bg-black/60 open:flex"
      style={{ width }}
    >
      <header className="flex flex-none items-center gap-3 border-b border-line py-2.5 pr-2 pl-5">
        <h2 id={titleId} className="min-w-0 flex-1 truncate text-base font-semibold">
          {title}
        </h2>
        <button type="button" className="button button-quiet px-2!" aria-label="Close" title="Close (Esc)" onClick={close}>
          <X className="size-4" aria-hidden />
        </button>
      </header>
      {children}
      {footer && <footer className="flex flex-none items-center justify-end gap-2 border-t border-line px-5 py-3">{footer}</footer>}
    </dialog>
  );
}

interface FormProps {
  title: string;
  /** What the button says that does it. */
  action: string;
  close: () => void;
  /** Does it; the dialog closes when it has succeeded and tells why when it has not. */
  submit: () => Promise<unknown>;
  children: ReactNode;
  isDangerous?: boolean;
  width?: string;
}

export function FormDialog({ title, action, close, submit, children, isDangerous = false, width = "34rem" }: FormProps) {
  const [error, setError] = useState("");
  const [isBusy, setBusy] = useState(false);
  const form = useId();
  const onSubmit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    setError("");
    try {
      await submit();
      close();
    } catch (failure) {
      setError(messageOf(failure));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={title}
      close={close}
      width={width}
      footer={
        <>
          <p role="alert" className="min-w-0 flex-1 text-danger">
            {error}
          </p>
          <button type="button" className="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" form={form} className={`button ${isDangerous ? "button-danger" : "button-primary"}`} disabled={isBusy}>
            {action}
          </button>
        </>
      }
    >
      <form id={form} onSubmit={onSubmit} className="flex min-h-0 flex-col gap-4 overflow-auto px-5 py-4">
        {children}
      </form>
    </Dialog>
  );
}
