import { getTableConfig } from 'drizzle-orm/pg-core'
import { targetsOf, type Resource } from '../../src/core/records/resource.ts'

type Json = Record<string, unknown>

/** A variable of the collection where a value is used. */
const use = (name: string) => `{{${name}}}`

/** The variable with the ID of the record that the collection created last: `contact_id`. */
export const idVariable = ({ name }: Pick<Resource, 'name'>) => `${name}_id`

/** The variables that a response sets, by the names of its fields. */
export const sessionVariables: Record<string, string> = {
  token: 'token',
  access_token: 'token',
  refresh_token: 'refresh_token'
}
/** The ID of the user who logged in, who is responsible for all that the collection creates. */
export const ownId = 'own_id'
/** A session that can be ended without ending the run, and where it is in the list of sessions. */
export const sessionId = 'session_id'
export const otherSession = 'data.find(session => !session.is_current).id'

/** An identity to unlink: the collection does so to nobody by itself. */
export const identityId = 'identity_id'

/** A job to look at: the collection starts none. */
export const jobId = 'job_id'
export const deliveryId = 'delivery_id'
/** The operation that was listed last. */
export const lastOperation = 'operation_id'

/** A mailed token or the code of a sign-in, which only the person who runs it can have. */
export const oneTimeToken = 'one_time_token'
/** A code of their app, for the secret that the request before returned. */
export const oneTimeCode = 'one_time_code'
/** Fields with a token. */
export const oneTimeFields = ['token', 'sign_in_code']

/** The variables that hold the values of requests that are not about a record. */
const credentials: Record<string, string> = {
  username: 'username',
  password: 'password',
  refresh_token: 'refresh_token',
  token: oneTimeToken,
  code: oneTimeCode,
  sign_in_code: oneTimeToken,
  current_password: 'password',
  new_password: 'new_password'
}

export const withCredentials = (body: Json): Json =>
  mapValues(body, (value, field) =>
    credentials[field] === undefined ? value : use(credentials[field])
  )

/**
 * The example of a body that creates or changes a record, with the records that the collection
 * created in place of those of the example, and with unique values that are new in each run.
 */
export function withRecords(resource: Resource, body: Json): Json {
  const variables = variablesOf(resource)
  const unique = uniqueFieldsOf(resource)
  return mapValues(body, (value, field) => {
    const variable = field === 'user_id' ? ownId : variables.get(field)
    if (variable !== undefined) return Array.isArray(value) ? [use(variable)] : use(variable)
    if (Array.isArray(value)) return value.map(item => (isLink(item) ? linkTo(item) : item))
    const isUnique = unique.has(field) && typeof value === 'string'
    return isUnique ? value.replace(/(?=@)|$/, use('$timestamp')) : value
  })
}

/** The text of a body: IDs are numbers. */
export const textOf = (body: Json): string =>
  JSON.stringify(body, null, 2).replaceAll(/"(\{\{\w+_id\}\})"/g, '$1')

const mapValues = (object: Json, map: (value: unknown, key: string) => unknown): Json =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]))

interface Link {
  type: string
  id: number
}
const isLink = (value: unknown): value is Link =>
  typeof value === 'object' && value !== null && 'type' in value && 'id' in value
const linkTo = ({ type }: Link) => ({ type, id: use(idVariable({ name: type })) })

/** The variable with the ID for each field that refers to other records. */
const variablesOf = (resource: Resource): Map<string, string> =>
  new Map(
    [...targetsOf(resource)].map(([field, to]) => [
      field,
      to.name === 'user' ? ownId : idVariable(to)
    ])
  )

/** The fields with unique values that callers choose freely, by the names of the constraints. */
function uniqueFieldsOf({ table, create }: Resource): Set<string> {
  const { name, indexes, uniqueConstraints } = getTableConfig(table)
  const names = [
    ...indexes.filter(({ config }) => config.unique).map(({ config }) => config.name ?? ''),
    ...uniqueConstraints.map(constraint => constraint.name ?? '')
  ]
  const fields = names.map(unique => unique.replace(`${name}_`, '').replace(/_unique$/, ''))
  return new Set(fields.filter(field => create?.properties[field]?.enum === undefined))
}
