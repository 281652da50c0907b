/** The parts forms are made of: each has its label, and what is to be known of it below. */
import { type ReactNode, useId } from "react";

interface Labelled {
  label: string;
  hint?: string;
  className?: string;
}

interface TextProps extends Labelled {
  value: string;
  onChange: (value: string) => void;
  type?: "text" | "number" | "date" | "time" | "search";
  required?: boolean;
  maxLength?: number;
  min?: number;
  max?: number;
  step?: number | "any";
  placeholder?: string;
  list?: string[];
}

export function TextField({ label, hint, className = "", value, onChange, list, ...input }: TextProps) {
  const id = useId();
  return (
    <div className={`flex flex-col gap-1 ${className}`}>
      <label htmlFor={id} className="font-medium text-dim">
        {label}
      </label>
      <input
        {...input}
        id={id}
        className="field w-full"
        autoComplete="off"
        spellCheck={false}
        aria-describedby={hint ? `${id}-hint` : undefined}
        list={list && `${id}-list`}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
      {list && (
        <datalist id={`${id}-list`}>
          {list.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
      )}
      <Hint id={`${id}-hint`} text={hint} />
    </div>
  );
}

interface SelectProps<Value extends string> extends Labelled {
  value: Value;
  onChange: (value: Value) => void;
  options: Record<Value, string>;
}

export function SelectField<Value extends string>({ label, hint, className = "", value, onChange, options }: SelectProps<Value>) {
  const id = useId();
  return (
    <div className={`flex flex-col gap-1 ${className}`}>
      <label htmlFor={id} className="font-medium text-dim">
        {label}
      </label>
      <select
        id={id}
        className="field w-full"
        aria-describedby={hint ? `${id}-hint` : undefined}
        value={value}
        onChange={(event) => onChange(event.target.value as Value)}
      >
        {Object.entries<string>(options).map(([key, title]) => (
          <option key={key} value={key}>
            {title}
          </option>
        ))}
      </select>
      <Hint id={`${id}-hint`} text={hint} />
    </div>
  );
}

interface CheckProps {
  label: ReactNode;
  checked: boolean;
  onChange: (checked: boolean) => void;
  hint?: string;
}

export function CheckField({ label, checked, onChange, hint }: CheckProps) {
  const id = useId();
  return (
    <div className="flex flex-col gap-1">
      <label className="flex items-center gap-2">
        <input
          type="checkbox"
          className="size-4 accent-accent"
          aria-describedby={hint ? `${id}-hint` : undefined}
          checked={checked}
          onChange={(event) => onChange(event.target.checked)}
        />
        {label}
      </label>
      <Hint id={`${id}-hint`} text={hint} />
    </div>
  );
}

interface ChipsProps<Value extends string> extends Labelled {
  value: readonly Value[];
  onChange: (value: Value[]) => void;
  options: Record<Value, string>;
}

/** Several of a few: each is on or off. */
export function ChipsField<Value extends string>({ label, hint, value, onChange, options }: ChipsProps<Value>) {
  const id = useId();
  const entries = Object.entries(options) as [Value, string][];
  return (
    <div role="group" aria-labelledby={id} aria-describedby={hint ? `${id}-hint` : undefined} className="flex flex-col gap-1">
      <span id={id} className="font-medium text-dim">
        {label}
      </span>
      <span className="flex flex-wrap gap-1">
        {entries.map(([key, title]) => (
          <button
            key={key}
            type="button"
            className="chip"
            aria-pressed={value.includes(key)}
            onClick={() => onChange(value.includes(key) ? value.filter((each) => each !== key) : [...value, key])}
          >
            {title}
          </button>
        ))}
      </span>
      <Hint id={`${id}-hint`} text={hint} />
    </div>
  );
}

function Hint({ id, text }: { id: string; text: string | undefined }) {
  return text ? (
    <p id={id} className="text-[0.92em] text-faint">
      {text}
    </p>
  ) : null;
}

export function FormSection({ title, children }: { title: string; children: ReactNode }) {
  return (
    <fieldset className="flex flex-col gap-3 border-t border-line pt-3">
      <legend className="float-left mb-1 w-full font-semibold">{title}</legend>
      {children}
    </fieldset>
  );
}

/** A list as one writes it: parted by commas. */
export function fromList(values: readonly string[]): string {
  return values.join(", ");
}

export function toList(text: string): string[] {
  return text
    .split(",")
    .map((each) => each.trim())
    .filter(Boolean);
}

/** What is left empty is nothing. */
export function orNull(text: string): string | null {
  return text.trim() === "" ? null : text.trim();
}
