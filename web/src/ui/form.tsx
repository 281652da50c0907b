/** The parts forms are made of: each has its label, and what is to be known of it below. */
import { X } from "lucide-react";
import { type ReactNode, useId, useRef, useState } from "react";

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
  disabled?: boolean;
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

interface ListProps extends Labelled {
  value: readonly string[];
  onChange: (value: string[]) => void;
  /** Offered while one types. */
  options?: readonly string[];
  placeholder?: string;
}

/** Any number of texts, whatever is in them: Enter or leaving the box adds one, Backspace in the empty box takes the last away. */
export function ListField({ label, hint, className = "", value, onChange, options, placeholder }: ListProps) {
  const id = useId();
  const box = useRef<HTMLInputElement>(null);
  const [typed, type] = useState("");
  const add = () => {
    const text = typed.trim();
    type("");
    if (text !== "" && !value.includes(text)) onChange([...value, text]);
  };
  return (
    <div className={`flex flex-col gap-1 ${className}`}>
      <label htmlFor={id} className="font-medium text-dim">
        {label}
      </label>
      <div className="field flex h-auto! min-h-[2.15rem] flex-wrap items-center gap-1 px-1! py-[0.15rem]! focus-within:outline-2 focus-within:outline-offset-1 focus-within:outline-accent">
        {value.map((each) => (
          <span key={each} className="flex max-w-full items-center rounded border border-line bg-raised pl-1.5">
            <span className="truncate" title={each}>
              {each}
            </span>
            <button
              type="button"
              aria-label={`Take ${each} out of ${label}`}
              className="p-1 text-faint hover:text-ink"
              onClick={() => {
                onChange(value.filter((other) => other !== each));
                box.current?.focus();
              }}
            >
              <X className="size-3" aria-hidden />
            </button>
          </span>
        ))}
        <input
          ref={box}
          id={id}
          className="h-6 min-w-16 flex-1 bg-transparent px-1.5 outline-none"
          autoComplete="off"
          spellCheck={false}
          placeholder={value.length === 0 ? placeholder : undefined}
          aria-describedby={hint ? `${id}-hint` : undefined}
          list={options && `${id}-list`}
          value={typed}
          onChange={(event) => type(event.target.value)}
          onBlur={add}
          onKeyDown={(event) => {
            if (event.key === "Enter" && typed.trim() !== "") {
              event.preventDefault();
              add();
            } else if (event.key === "Backspace" && typed === "") onChange(value.slice(0, -1));
          }}
        />
      </div>
      {options && (
        <datalist id={`${id}-list`}>
          {options.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
      )}
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

/** What is left empty is nothing. */
export function orNull(text: string): string | null {
  return text.trim() === "" ? null : text.trim();
}
