const descriptions = new Map<string, string>()

/** Describes a tag of the document, which groups operations. Returns its name. */
export function defineTag(name: string, description: string): string {
  descriptions.set(name, description)
  return name
}

/** The description of a tag, if it was defined. */
export const tagDescription = (name: string): string | undefined => descriptions.get(name)

/** Statuses of problems that only some operations respond with. */
export type ProblemStatus = 401 | 403 | 404 | 409 | 410 | 412 | 416 | 422

/**
 * What an operation declares in its schema besides Fastify's own properties. http/openapi reads
 * `x-problems`, and adds what follows from the rest: 403 from its permission, 406 from several
 * content types, 412 from `If-Match` …
 */
export const problems = (...statuses: ProblemStatus[]) => ({ 'x-problems': statuses })

const furtherEvents = new Map<string, string[]>()

/**
 * Says which types of events operations cause besides those of their permission, by their
 * operation IDs: `contacts:create` stands for `contact.created`. `*` stands for any record.
 */
export function causes(operationIds: string[], ...types: string[]): void {
  for (const id of operationIds) furtherEvents.set(id, [...(furtherEvents.get(id) ?? []), ...types])
}

/** The types of events that an operation causes besides those of its permission. */
export const furtherEventsOf = (operationId: string): string[] =>
  furtherEvents.get(operationId) ?? []
