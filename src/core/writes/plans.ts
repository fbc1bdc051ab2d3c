import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Context } from '../access/context.ts'
import type { Effects } from './effects.ts'

/** Minutes for which a plan is valid. */
export const planMinutes = 15

/** Effects that a plan can tell apart; of larger ones it only knows whether they are the same. */
const maxMarks = 500
/** Characters of base64url that stand for one effect in a plan: one in 16 million is mistaken. */
const markLength = 4

/** With the secret of the server: who knows the rest of a record could guess a hidden field. */
const hashOf = ({ services }: Context, texts: unknown[]) =>
  createHmac('sha256', services.keyFor('plans')).update(JSON.stringify(texts)).digest('base64url')
const markOf = (ctx: Context, text: string) => hashOf(ctx, [text]).slice(0, markLength)

/**
 * What a write would do, as a token of its sender: a digest of the effects, the time until which it
 * is valid, a mark of each effect, and a signature that binds all of that to the request.
 */
export interface Plan {
  digest: string
  /** Seconds since 1970. */
  expires: number
  marks: string[]
}

/** The token and the parts of it that are signed. */
const partsOf = ({ digest, expires, marks }: Plan) =>
  [digest, expires.toString(36), marks.join('')] as const

/** `request`: what the plan is for, as text. */
function signatureOf(ctx: Context, request: string, plan: Plan): string {
  const { organization_id, user_id, token } = ctx.principal
  return hashOf(ctx, [organization_id, user_id, token?.id ?? null, request, ...partsOf(plan)])
}

/** The token of a plan for a request with these effects. */
export function planFor(ctx: Context, request: string, { texts }: Effects): string {
  const plan = {
    digest: hashOf(ctx, texts),
    expires: Math.floor(Date.now() / 1000) + planMinutes * 60,
    marks: texts.length > maxMarks ? [] : texts.map(text => markOf(ctx, text))
  }
  return `sha256:${[...partsOf(plan), signatureOf(ctx, request, plan)].join('.')}`
}

const token = /^sha256:([\w-]{43})\.([0-9a-z]{1,8})\.([\w-]*)\.([\w-]{43})$/

/** The plan of a token; undefined if it is not for this caller and this request. */
export function planOf(ctx: Context, request: string, header: string): Plan | undefined {
  const [, digest, expires, marks, signature] = token.exec(header) ?? []
  if (digest === undefined) return undefined
  const plan = {
    digest,
    expires: Number.parseInt(expires!, 36),
    marks: marks!.match(new RegExp(`.{${markLength}}`, 'g')) ?? []
  }
  const expected = Buffer.from(signatureOf(ctx, request, plan))
  return timingSafeEqual(expected, Buffer.from(signature!)) ? plan : undefined
}

/** Whether a plan is of these effects. */
export const isPlanOf = (ctx: Context, { digest }: Plan, { texts }: Effects): boolean =>
  digest === hashOf(ctx, texts)

/** The indexes of those effects that are not in a plan. */
export function indexesNotIn(ctx: Context, { marks }: Plan, { texts }: Effects): Set<number> {
  const planned = new Set(marks)
  return new Set(texts.flatMap((text, index) => (planned.has(markOf(ctx, text)) ? [] : [index])))
}
