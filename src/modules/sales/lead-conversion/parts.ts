import type { Static, TObject } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { ruleBroken } from '../../../core/errors.ts'
import type { Identified } from '../../../core/http/responses.ts'
import type { Resource } from '../../../core/records/resource.ts'
import { accountResource } from '../../crm/accounts/resource.ts'
import { AccountChanges, NewAccount } from '../../crm/accounts/schema.ts'
import { accountService } from '../../crm/accounts/service.ts'
import { contactResource } from '../../crm/contacts/resource.ts'
import { ContactChanges, NewContact } from '../../crm/contacts/schema.ts'
import { contactService } from '../../crm/contacts/service.ts'
import { opportunityResource } from '../opportunities/resource.ts'
import { NewOpportunity, OpportunityChanges } from '../opportunities/schema.ts'
import { opportunityService } from '../opportunities/service.ts'
import type { PartName } from './table.ts'

/** A record that a lead is converted into: how it is found, created and changed. */
export interface Part<Row extends Identified, Fields extends object> {
  name: PartName
  resource: Resource
  find: (ctx: Context, ids: number[]) => Promise<Row[]>
  /** Errors: 422 for fields that are missing. */
  create: (ctx: Context, fields: Fields) => Promise<Row>
  update: (ctx: Context, id: number, fields: Fields, versions: number[]) => Promise<Row>
}

export type AccountFields = Static<typeof AccountChanges>
export type ContactFields = Static<typeof ContactChanges>
export type OpportunityFields = Static<typeof OpportunityChanges>

/** Errors: 422 for each required field that is missing. */
export function assertComplete<N extends TObject>(
  part: PartName,
  { required = [] }: N,
  fields: object
): asserts fields is Static<N> {
  const missing = required.filter(field => (fields as Record<string, unknown>)[field] === undefined)
  if (missing.length > 0)
    throw ruleBroken(
      missing.map(field => `${part}/${field}`),
      `A new ${part} requires ${missing.join(' and ')}.`,
      { rule: 'required', fields: missing }
    )
}

export const accountPart: Part<Awaited<ReturnType<typeof accountService.get>>, AccountFields> = {
  name: 'account',
  resource: accountResource,
  ...accountService,
  async create(ctx, fields) {
    assertComplete('account', NewAccount, fields)
    return await accountService.create(ctx, fields)
  }
}

export const contactPart: Part<Awaited<ReturnType<typeof contactService.get>>, ContactFields> = {
  name: 'contact',
  resource: contactResource,
  ...contactService,
  async create(ctx, fields) {
    assertComplete('contact', NewContact, fields)
    return await contactService.create(ctx, fields)
  }
}

export const opportunityPart: Part<
  Awaited<ReturnType<typeof opportunityService.get>>,
  OpportunityFields
> = {
  name: 'opportunity',
  resource: opportunityResource,
  ...opportunityService,
  async create(ctx, fields) {
    assertComplete('opportunity', NewOpportunity, fields)
    return await opportunityService.create(ctx, fields)
  }
}
