import { defaultsOf } from '../db/columns.ts'
import { defined } from '../defined.ts'
import type { Resource, RowOf } from './resource.ts'

/**
 * A rule about a record: what must hold whenever one is created or updated. It declares the fields
 * that it reads and sees no others, so that a change which touches none of them may skip it.
 * `Extra` is what the rules of a resource need besides the record.
 */
export interface Rule<Row, Extra> {
  reads: readonly (keyof Row & string)[]
  check: (state: { before: Row | undefined; after: Row } & Extra) => void
}

type State<Row, Field extends keyof Row, Extra> = {
  /** The record before the change; undefined for a new one. */
  before: Pick<Row, Field> | undefined
  /** The record as it would be stored. */
  after: Pick<Row, Field>
} & Extra

/**
 * The constructor of rules for one kind of record:
 * `rule(['status', 'lost_reason'], ({ before, after }) => { … throw ruleBroken(…) })`.
 */
export const rulesFor =
  <Row, Extra = object>() =>
  <Field extends keyof Row & string>(
    reads: readonly Field[],
    check: (state: State<Row, Field, Extra>) => void
  ): Rule<Row, Extra> => ({ reads, check: state => check(state) })

/** Whether a change touches a field that a rule reads. */
export function concernsRules<Row, Extra>(
  rules: readonly Rule<Row, Extra>[],
  changes: object
): boolean {
  const read = new Set<string>(rules.flatMap(rule => rule.reads))
  return Object.entries(changes).some(([field, value]) => value !== undefined && read.has(field))
}

/** Checks all rules, in their order. Errors: those of the first rule that is broken. */
export function checkRules<Row, Extra>(
  rules: readonly Rule<Row, Extra>[],
  state: { before: Row | undefined; after: Row } & Extra
): void {
  for (const rule of rules) rule.check(state)
}

/** Whether a field has another value than before; always true for a new record. */
export const hasChanged = <Row extends object, Field extends keyof Row>(
  { before, after }: { before: Row | undefined; after: Row },
  field: Field
): boolean => before === undefined || before[field] !== after[field]

/** A record as the fields given would create it: absent ones have their default, or null. */
export function newRecord<R extends Pick<Resource, 'table' | 'columns'>>(
  { table, columns }: R,
  input: object
): RowOf<R> {
  const empty = Object.fromEntries(Object.keys(columns).map(name => [name, null]))
  return { ...empty, ...defaultsOf(table), ...defined(input) } as unknown as RowOf<R>
}
