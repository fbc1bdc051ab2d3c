// Operations that have no route yet.
import { Context } from '../../../src/core/access/context.ts'
import { contactService } from '../../../src/modules/crm/contacts/service.ts'
import type { App, organization } from '../../support/app.ts'

export type Organization = Awaited<ReturnType<typeof organization>>
interface Member {
  user: { id: number }
}
export const contact = { first_name: 'Ann', last_name: 'Lee', company: 'Old' }

/** The context of a user of an organization, who may do everything. */
export const contextOf = (app: App, { id }: Organization, { user }: Member) =>
  Context.system(app.services, id, user.id)

/** Changes contacts in one operation of a user; returns its ID. */
export const changeContacts = async (
  app: App,
  one: Organization,
  member: Member,
  changes: Record<number, object>
): Promise<number> =>
  await contextOf(app, one, member).operation('batch', async ctx => {
    for (const [id, fields] of Object.entries(changes))
      await contactService.update(ctx, Number(id), fields)
    return ctx.operation_id!
  })
