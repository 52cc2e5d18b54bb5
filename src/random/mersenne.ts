const N = 624;
const M = 397;

/** Python's `random.Random(seed)`, as far as sampling needs it: the same numbers, draw for draw. */
export interface MersenneTwister {
  /** `random()`: 53 bits, in [0, 1). */
  random(): number;
  /** `getrandbits(bits)` for 0 to 32 bits. */
  bits(bits: number): number;
  /** `randrange(limit)`, `randint(0, limit - 1)`: 0 to limit - 1, by rejection. */
  below(limit: number): number;
  /** `shuffle(items)`, in place. */
  shuffle<T>(items: T[]): void;
}

/**
 * The Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), seeded by init_by_array with the 32-bit words of the
 * seed, as CPython's `random.seed(int)` does. `seed` is a whole number from 0 to 2⁵³ - 1.
 */
export function createMersenneTwister(seed: number): MersenneTwister {
  const state = initByArray(seed < 2 ** 32 ? [seed >>> 0] : [seed >>> 0, Math.floor(seed / 2 ** 32)]);
  let index = N;

  function next(): number {
    if (index >= N) {
      twist(state);
      index = 0;
    }
    let y = state[index++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  const bits = (count: number): number => (count === 0 ? 0 : next() >>> (32 - count));

  function below(limit: number): number {
    const count = 32 - Math.clz32(limit);
    let drawn = bits(count);
    while (drawn >= limit) drawn = bits(count);
    return drawn;
  }

  return {
    random: () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53,
    bits,
    below,
    shuffle(items) {
      for (let i = items.length - 1; i > 0; i--) {
        const j = below(i + 1);
        [items[i], items[j]] = [items[j]!, items[i]!];
      }
    },
  };
}

function initByArray(key: readonly number[]): Uint32Array {
  const state = new Uint32Array(N);
  state[0] = 19650218;
  for (let i = 1; i < N; i++) state[i] = Math.imul(1812433253, state[i - 1]! ^ (state[i - 1]! >>> 30)) + i;
  let i = 1;
  const advance = (): void => {
    if (++i < N) return;
    state[0] = state[N - 1]!;
    i = 1;
  };
  const mixed = (factor: number): number => state[i]! ^ Math.imul(state[i - 1]! ^ (state[i - 1]! >>> 30), factor);
  for (let k = 0; k < N; k++) {
    const j = k % key.length;
    state[i] = mixed(1664525) + key[j]! + j;
    advance();
  }
  for (let k = 1; k < N; k++) {
    state[i] = mixed(1566083941) - i;
    advance();
  }
  state[0] = 0x80000000;
  return state;
}

function twist(state: Uint32Array): void {
  for (let k = 0; k < N; k++) {
    const y = (state[k]! & 0x80000000) | (state[(k + 1) % N]! & 0x7fffffff);
    state[k] = state[(k + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
  }
}
