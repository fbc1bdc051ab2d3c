import type { Faker } from '@faker-js/faker'
import { faker } from '@faker-js/faker/locale/en'

/** A function that draws a key, as often as its weight says. */
export function weighted<Key extends string>(weights: Record<Key, number>): () => Key {
  const keys = Object.entries<number>(weights).flatMap(([key, weight]) =>
    Array.from({ length: weight }, () => key as Key)
  )
  return () => faker.helpers.arrayElement(keys)
}

/** One of the records up to `progress` (0 to 1), more often an early one. */
export function older<T>(records: T[], progress: number): T | undefined {
  const count = Math.floor(progress * records.length) - 1
  if (count <= 0) return undefined
  return records[Math.floor(faker.number.float({ max: 0.999_999 }) ** 1.5 * count)]
}

export const sometimes = <T>(chance: number, generate: () => T | undefined): T | null =>
  faker.datatype.boolean(chance) ? (generate() ?? null) : null

/** A log-normal number around `middle`, as amounts of money and sizes of companies are. */
export function spread(middle: number, sigma: number): number {
  const normal =
    Math.sqrt(-2 * Math.log(1 - faker.number.float({ max: 0.999_999 }))) *
    Math.cos(2 * Math.PI * faker.number.float())
  return middle * Math.exp(sigma * normal)
}

export const dayOf = (date: Date) => date.toISOString().slice(0, 10)
export const cents = (amount: number) => Math.min(Math.round(amount * 100) / 100, 90_000_000)
export const phoneOf = (locale: Faker) =>
  locale.phone.number({ style: 'international' }).slice(0, 20)

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
export const ascii = (text: string, separator = '') =>
  text
    .toLowerCase()
    .normalize('NFD')
    .replace(/[ßøłæœıđ]/g, letter => letters[letter]!)
    .replaceAll(/[\u0300-\u036f]/g, '')
    .replaceAll(/[^a-z0-9]+/g, ' ')
    .trim()
    .replaceAll(' ', separator)
