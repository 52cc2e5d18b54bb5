import type { MeasureValue } from "../../analysis/analysis.js";

const WIDTH = 52;
const HEIGHT = 10;

interface Props {
  readonly value: MeasureValue;
  /** What the bar begins at, and the ends of the axis that the column's bars share. */
  readonly unchanged: number;
  readonly domain: readonly [number, number];
}

/** A bar from what an unchanged model has to the value, with its interval as a line. */
export function Sparkbar({ value, unchanged, domain: [low, high] }: Props) {
  const x = (figure: number) => {
    const share = high > low ? (figure - low) / (high - low) : 0;
    return 1 + Math.min(1, Math.max(0, share)) * (WIDTH - 2);
  };
  const from = x(unchanged);
  const to = x(value.value);
  const { interval } = value;
  return (
    <svg class="sparkbar" width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <rect x={Math.min(from, to)} y={2} width={Math.abs(to - from)} height={HEIGHT - 4} class="bar" />
      {interval && <path d={`M${x(interval[0])},${HEIGHT / 2}H${x(interval[1])}`} class="whisker" />}
      <path d={`M${from},0V${HEIGHT}`} class="axis" />
    </svg>
  );
}
