/** Reproducible random choices. */
export interface Random {
  /** A number from 0 to 1, which is never returned. */
  next: () => number
  integer: (minimum: number, maximum: number) => number
  chance: (probability: number) => boolean
  pick: <T>(values: readonly T[]) => T
}

/** The mulberry32 generator: the same seed gives the same choices. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const integer = (minimum: number, maximum: number) =>
    minimum + Math.floor(next() * (maximum - minimum + 1))
  return {
    next,
    integer,
    chance: probability => next() < probability,
    pick: values => values[integer(0, values.length - 1)]!
  }
}
