/** How figures are written for people; programs read `--json`. */

/** A share of 1 as a percentage: `53.1%`. */
export function percent(share: number, digits = 2): string {
  return `${(100 * share).toFixed(digits)}%`;
}

/** A whole number with commas between thousands. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** `1 window`, `2 windows`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** Bytes in binary units: `1.04 GiB`. */
export function bytes(value: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let scaled = value;
  for (; scaled >= 1024 && unit < units.length - 1; unit++) scaled /= 1024;
  return unit === 0 ? `${value} bytes` : `${scaled.toFixed(scaled < 10 ? 2 : 1)} ${units[unit]}`;
}

/** Seconds as `0.4 s`, `42 s`, `3 min 5 s`, `2 h 10 min`. */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A figure to four significant digits; `-` where there is none. */
export function figure(value: number | null): string {
  if (value === null) return "-";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e7) return value.toExponential(3);
  return size >= 1000 ? value.toFixed(1) : value.toPrecision(4);
}

/** `value ± error`, the error to two significant digits and the value to the error's last one. */
export function plusMinus(value: number | null, error: number | null): string {
  // What rounding leaves of 0 is no error.
  if (value === null || error === null || error <= 1e-12 * Math.abs(value)) return figure(value);
  if (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e7) return `${value.toExponential(2)} ± ${error.toExponential(1)}`;
  const decimals = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(error))));
  return `${value.toFixed(decimals)} ± ${error.toFixed(decimals)}`;
}
