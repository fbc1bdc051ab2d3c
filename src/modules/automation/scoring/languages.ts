import { FilterLanguage } from '../../../core/records/filter-language.ts'
import { contactResource } from '../../crm/contacts/resource.ts'
import { leadResource } from '../../crm/leads/resource.ts'

/**
 * Rules use what the creation of a lead can set, but not the score itself, nor the assignee, which
 * may depend on it.
 */
const leadFields = leadResource.filters!.filter(
  field => field in leadResource.create!.properties && field !== 'score' && field !== 'assigned_to'
)
const contactFields = contactResource.filters!

/** The languages of rules: filters of leads or, prefixed by `contact.`, filters of contacts. */
export const languages = {
  lead: {
    prefix: '',
    path: leadResource.path,
    fields: leadFields,
    columns: leadResource.columns,
    language: new FilterLanguage({
      table: leadResource.table,
      schema: leadResource.schema!,
      filters: leadFields
    })
  },
  contact: {
    prefix: 'contact.',
    path: contactResource.path,
    fields: contactFields,
    columns: contactResource.columns,
    language: new FilterLanguage({
      table: contactResource.table,
      schema: contactResource.schema!,
      filters: contactFields,
      search: contactResource.search!
    })
  }
}

/** All fields that a rule can use, as they are written there. */
export const ruleFields = Object.values(languages).flatMap(({ prefix, fields }) =>
  fields.map(field => prefix + field)
)
