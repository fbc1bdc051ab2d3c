import type { Faker } from '@faker-js/faker'
import { faker } from '@faker-js/faker/locale/en'

/** Returns a function that picks a random key in proportion to its weight. */
export function weighted<Key extends string>(weights: Record<Key, number>): () => Key {
  const keys = Object.entries<number>(weights).flatMap(([key, weight]) =>
    Array.from({ length: weight }, () => key as Key)
  )
  return () => faker.helpers.arrayElement(keys)
}

/** Picks one of the first records, up to `recency` (0 to 1); the earlier ones more often. */
export function pickEarlier<T>(records: T[], recency: number): T | undefined {
  const count = Math.floor(recency * records.length) - 1
  if (count <= 0) return undefined
  return records[Math.floor(faker.number.float({ max: 0.999_999 }) ** 1.5 * count)]
}

/** A generated value with the given probability, otherwise null. */
export const maybe = <T>(probability: number, generate: () => T | undefined): T | null =>
  faker.datatype.boolean(probability) ? (generate() ?? null) : null

/** A log-normal random number, as amounts of money and sizes of companies are. */
export function logNormal(median: number, sigma: number): number {
  const normal =
    Math.sqrt(-2 * Math.log(1 - faker.number.float({ max: 0.999_999 }))) *
    Math.cos(2 * Math.PI * faker.number.float())
  return median * Math.exp(sigma * normal)
}

/** The date of an instant in UTC, as YYYY-MM-DD. */
export const dateOf = (instant: Date) => instant.toISOString().slice(0, 10)

/** An amount of money with two decimals, capped so that it fits every column for amounts. */
export const roundToCents = (amount: number) => Math.min(Math.round(amount * 100) / 100, 90_000_000)

export const phoneOf = (locale: Faker) =>
  locale.phone.number({ style: 'international' }).slice(0, 20)

/** Letters that NFD does not decompose. */
const letters: Record<string, string> = {
  ß: 'ss',
  ø: 'o',
  ł: 'l',
  æ: 'ae',
  œ: 'oe',
  ı: 'i',
  đ: 'd'
}

/** `Gonçalves & Łuczak` as `goncalvesluczak`, or with `separator` between its words. */
export const toAscii = (text: string, separator = '') =>
  text
    .toLowerCase()
    .normalize('NFD')
    .replace(/[ßøłæœıđ]/g, letter => letters[letter]!)
    .replaceAll(/[\u0300-\u036f]/g, '')
    .replaceAll(/[^a-z0-9]+/g, ' ')
    .trim()
    .replaceAll(' ', separator)
