import { plain } from "../format.js";

interface Props {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, text: string])[];
  readonly onChange: (value: string) => void;
}

/** A labelled choice among options; nothing is shown where there is nothing to choose. */
export function Select({ label, value, options, onChange }: Props) {
  if (options.length < 2) return null;
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([key, text]) => (
          <option key={key} value={key} selected={key === value}>
            {plain(text)}
          </option>
        ))}
      </select>
    </label>
  );
}
