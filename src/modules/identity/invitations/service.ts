import type { Static } from '@sinclair/typebox'
import { Context } from '../../../core/access/context.ts'
import type { Origin } from '../../../core/access/principal.ts'
import type { Services } from '../../../core/services.ts'
import { assertNotOwnName, assertUncommon } from '../../../core/access/passwords.ts'
import { assertReachesAll } from '../../../core/access/risk.ts'
import { hashOf, newToken, unusableToken } from '../../../core/access/tokens.ts'
import { defined } from '../../../core/defined.ts'
import { duplicate, ruleBroken, unknownReference } from '../../../core/errors.ts'
import { signInEnforced } from '../auth/errors.ts'
import { defineJob, type JobPayload } from '../../../core/jobs.ts'
import { oneLine } from '../../../core/mail.ts'
import { equal } from '../../../core/records/filter.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import { teamResource } from '../../automation/teams/resource.ts'
import { maxMembers } from '../../automation/teams/table.ts'
import type { VerifiedUser } from '../auth/queries.ts'
import { startSession, type Login } from '../auth/service.ts'
import { userResource } from '../users/resource.ts'
import { rolesFor } from '../users/role-assignment.ts'
import { fields as userFields } from '../users/schema.ts'
import { credentialsOf } from '../users/queries.ts'
import { userService, type Account } from '../users/service.ts'
import { findByToken, mailable, stillOpen, type Mailable } from './queries.ts'
import { invitationResource } from './resource.ts'
import type { Acceptance, NewInvitation } from './schema.ts'

const records = repository(invitationResource)
const users = repository(userResource)
const teams = repository(teamResource)

export type Invitation = RowOf<typeof invitationResource>

interface MailInvitation {
  invitation_id: number
}

/** Mails an invitation. The job makes the token: it is stored nowhere but in the mail. */
export const mailInvitation = defineJob<MailInvitation>('mail_invitation')

/** What begins or ends an invitation holds this lock, so that each sees what the last one did. */
export const invitationLock = 'creation/invitation'

// neither updated nor restored: another invitation replaces one
const { list, stream, get, asOf, history, cacheKey } = records

export const invitationService = {
  list,
  stream,
  get,
  asOf,
  history,
  cacheKey,

  /**
   * Invites a person, in place of an earlier open invitation. Returns the token unless it is
   * mailed. Errors: 409 for the email address of a user, 422 for an unknown role or team, 403 for a
   * role that allows more than the caller may do, and for teams without the right to change them.
   */
  async invite(
    ctx: Context,
    { email, role, role_ids, team_ids = [] }: Static<typeof NewInvitation>
  ): Promise<Invitation & { token?: string }> {
    const { mailer } = ctx.services
    const isDefault = role === undefined && role_ids === undefined
    const roles = isDefault ? { role: 'user' } : defined({ role, role_ids })
    const token = mailer ? undefined : newToken()
    const invitation = await ctx.withLocks(['admins', invitationLock], async ctx => {
      const given = (await rolesFor(ctx, roles))!
      await assertTeams(ctx, team_ids)
      if (await users.first(ctx, { filters: equal({ email }) })) throw duplicate('email')
      const earlier = await records.first(ctx, { filters: equal({ email }) })
      if (earlier) await records.remove(ctx, earlier.id)
      const created = await records.create(ctx, {
        email,
        ...given,
        team_ids,
        ...(token !== undefined && { token_hash: hashOf(token) })
      })
      if (mailer) await mailInvitation.enqueue(ctx, { invitation_id: created.id })
      return created
    })
    return { ...invitation, ...defined({ token }) }
  },

  /** Withdraws an invitation. Errors: 404, 412. */
  async remove(ctx: Context, id: number, versions?: Versions): Promise<void> {
    await ctx.withLocks([invitationLock], async ctx => {
      await records.remove(ctx, id, versions)
    })
  },

  /** Makes a token and mails it; a repeated job makes another one. */
  async mail(ctx: Context, { invitation_id }: MailInvitation & JobPayload): Promise<undefined> {
    const { mailer } = ctx.services
    const [open] = await ctx.read<Mailable>(mailable(invitation_id))
    if (!mailer || !open) return
    const token = newToken()
    const stored = await records.updateMany(ctx, [{ id: invitation_id, token_hash: hashOf(token) }])
    if (stored.length === 0) return // it was withdrawn meanwhile
    const use = mailer.describeToken(token, {
      page: 'accept-invitation',
      request: 'POST /api/auth/invitations/accept'
    })
    const organization = oneLine(open.organization)
    await mailer.send({
      to: open.email,
      subject: `Invitation to ${organization}`,
      text: `Hello,

You have been invited to join ${organization} in its CRM. To choose a password:

${use}

This works once, until ${open.expires_at.slice(0, 10)}. If you weren't expecting this invitation,
you can ignore this email.
`
    })
    // it may have been withdrawn meanwhile
    await records.updateMany(ctx, [{ id: invitation_id, sent_at: new Date().toISOString() }])
  },

  /**
   * Makes the person with this token a user, and logs them in. A token works once. Errors: 422 for
   * a token that does not work, and for an unacceptable password; 403 for a person who has to sign
   * in with an identity provider; 409 for a taken username, or if the email address has become that
   * of a user; 503.
   */
  async accept(
    services: Services,
    { token, username: name, password, ...names }: Static<typeof Acceptance>,
    origin: Origin
  ): Promise<Login> {
    const token_hash = hashOf(token)
    const invitation = await findByToken(services, token_hash)
    if (!invitation) throw unusableToken()
    if (invitation.must_sign_in) throw signInEnforced()
    const { organization_id, id, email } = invitation
    const username = name ?? usernameFrom(email)
    await assertUncommon(password, 'password')
    assertNotOwnName(password, [username, email], 'password')
    const account = { username, email, ...names }
    const password_hash = await services.passwords.hash(password)
    const ctx = Context.system(services, organization_id, null, origin)
    const credentials = await ctx.withLocks(['admins', invitationLock], async ctx => {
      if (!(await ctx.one(stillOpen(id, token_hash)))) throw unusableToken()
      const user = await becomeUser(ctx, invitation, { ...account, password_hash })
      return await ctx.one<VerifiedUser>(credentialsOf(user.id))
    })
    const login = await startSession(services, credentials!, origin)
    if (!login) throw unusableToken()
    return login
  },

  /**
   * Makes a person whose email address a provider has verified a user, if someone has invited them;
   * in the transaction of `ctx`, which holds the lock on invitations. Errors: 409 for a taken name.
   */
  async acceptFor(ctx: Context, account: Account): Promise<User | undefined> {
    const { email } = account
    const invitation = await records.first(ctx, { filters: equal({ email }) })
    const isOpen = invitation && Date.parse(invitation.expires_at) > Date.now()
    return isOpen ? await becomeUser(ctx, invitation, account) : undefined
  }
}

type User = RowOf<typeof userResource>

/** Accepts an invitation, within a transaction with the locks `admins` and `invitationLock`. */
async function becomeUser(
  ctx: Context,
  { id, role_ids, team_ids }: Pick<Invitation, 'id' | 'role_ids' | 'team_ids'>,
  account: Account
): Promise<User> {
  const user = await userService.createUnchecked(ctx, { ...account, role_ids })
  await joinTeams(ctx, user.id, team_ids)
  await records.update(ctx, id, { user_id: user.id })
  await records.remove(ctx, id)
  return user
}

/**
 * Errors: 422 for a team that does not exist, 403 for those who may not change who is in teams (see
 * the service of teams).
 */
async function assertTeams(ctx: Context, team_ids: number[]): Promise<void> {
  if (team_ids.length === 0) return
  ctx.require('users:update')
  assertReachesAll(ctx)
  const found = new Set((await teams.find(ctx, team_ids)).map(({ id }) => id))
  const unknown = team_ids.flatMap((id, i) => (found.has(id) ? [] : [`team_ids/${i}`]))
  if (unknown.length > 0) throw unknownReference(unknown)
}

/** Makes a user a member of those of the teams that still exist and have a place. */
async function joinTeams(ctx: Context, user_id: number, team_ids: number[]): Promise<void> {
  for (const { id } of await teams.find(ctx, team_ids)) {
    const { member_ids } = await teams.lock(ctx, id)
    if (member_ids.length < maxMembers)
      await teams.update(ctx, id, { member_ids: [...member_ids, user_id] })
  }
  await ctx.forgetAccess()
}

/** Errors: 422 for an email address that is too long for a username. */
function usernameFrom(email: string): string {
  const { maxLength = Infinity } = userFields.username
  if (email.length > maxLength)
    throw ruleBroken('username', 'The email address is too long to be the username: send one.', {
      rule: 'username_required'
    })
  return email
}
