import type { Static } from '@sinclair/typebox'
import { setTimeout as sleep } from 'node:timers/promises'
import { Context } from '../../../core/access/context.ts'
import type { Origin } from '../../../core/access/principal.ts'
import type { Services } from '../../../core/services.ts'
import { assertNotOwnName, assertUncommon } from '../../../core/access/passwords.ts'
import { hashOf, newToken, unusableToken } from '../../../core/access/tokens.ts'
import { rowsOf } from '../../../core/db/sql.ts'
import { defineJob, type JobPayload } from '../../../core/jobs.ts'
import { oneLine } from '../../../core/mail.ts'
import { deleteUserFailures, tooManyResetsFrom, tooManyResetsOf } from '../auth/throttle.ts'
import { userService } from '../users/service.ts'
import { findByEmail, findByToken, insertResets, issueToken, type Recipient } from './queries.ts'
import type { PasswordReset, PasswordResetRequest } from './schema.ts'

interface MailReset {
  reset_id: number
}

/** Mails the token of a reset. The job makes the token: it is stored nowhere but in the mail. */
export const mailReset = defineJob<MailReset>('mail_password_reset')

/** Milliseconds that every request takes; looking for users and adding jobs takes a tenth of it. */
const answerTime = 250

export const passwordResetService = {
  /**
   * Mails a token to the active users of an email address. Nothing tells the caller whether there
   * are any, not even the time; nor whether there have been too many requests.
   */
  async request(
    services: Services,
    request: Static<typeof PasswordResetRequest>,
    address: string
  ): Promise<void> {
    if (!services.mailer) return
    await Promise.all([sleep(answerTime), addResets(services, request, address)])
  },

  /** Makes a token and mails it; a repeated job makes another one. */
  async mail(ctx: Context, { reset_id }: MailReset & JobPayload): Promise<undefined> {
    const { mailer } = ctx.services
    if (!mailer) return
    const token = newToken()
    const [recipient] = await ctx.write<Recipient>([], issueToken(reset_id, hashOf(token)))
    if (!recipient) return
    const { email, username, organization } = recipient
    const use = mailer.describeToken(token, {
      page: 'reset-password',
      request: 'POST /api/auth/password-resets/confirm'
    })
    await mailer.send({
      to: email,
      subject: 'Reset your password',
      text: `Hello ${oneLine(username)},

Someone asked to reset your password at ${oneLine(organization)}.

${use}

This works once, within an hour. If this wasn't you, ignore this email: your password won't change.
`
    })
  },

  /**
   * Sets the password of the user to whom a token was mailed, ends all sessions and, without a
   * second factor, which stays, clears the failed logins. A token works once. Errors: 422 for a
   * token that does not work, and for an unacceptable password; 503.
   */
  async confirm(
    services: Services,
    { token, password }: Static<typeof PasswordReset>,
    origin: Origin
  ): Promise<void> {
    const user = await findByToken(services, hashOf(token))
    if (!user) throw unusableToken()
    await assertUncommon(password, 'password')
    assertNotOwnName(password, [user.username, user.email], 'password')
    const { organization_id, id, password_hash } = user
    const ctx = Context.system(services, organization_id, id, origin)
    // of concurrent ones, the first changes the hash that all of them have read
    const changed = await userService.changePassword(ctx, id, password, password_hash)
    if (changed === undefined) throw unusableToken()
    // a mailbox is no license to guess codes
    if (!user.has_second_factor) await ctx.write([], deleteUserFailures(services, id))
  }
}

async function addResets(
  services: Services,
  { email, organization }: Static<typeof PasswordResetRequest>,
  address: string
): Promise<void> {
  if (await tooManyResetsFrom(services, address)) return
  const users = await findByEmail(services, email, organization ?? null)
  const refused = await Promise.all(
    users.map(async ({ id }) => await tooManyResetsOf(services, id))
  )
  const mailed = users.filter((_, i) => !refused[i])
  if (mailed.length === 0) return
  const { database } = services
  await rowsOf(database, database.pool, insertResets(mailed, mailReset.name))
}
