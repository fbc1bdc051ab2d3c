import { allResources } from '../../core/records/resource.ts'
import { furtherEventsOf } from '../../core/http/operations.ts'
import type { ChangeKind } from '../../core/records/events.ts'
import type { Operation } from './document.ts'

const kindOfAction: Record<string, ChangeKind> = {
  create: 'created',
  update: 'updated',
  delete: 'deleted'
}

/**
 * The types of events that an operation causes: what its permission says, on records of its
 * resource, and what it declares besides (`causes`).
 */
export function eventsOf(method: string, path: string, operation: Operation): string[] {
  const { 'x-permission': permission = '', operationId = '' } = operation
  const [area, action = ''] = permission.split(':')
  const resource = allResources().find(one => one.path === area)
  const kinds = resource && method !== 'get' ? kindsOf(path, action, operation) : []
  return [
    ...new Set([...kinds.map(kind => `${resource!.name}.${kind}`), ...furtherEventsOf(operationId)])
  ].toSorted()
}

function kindsOf(path: string, action: string, { parameters = [] }: Operation): ChangeKind[] {
  if (path.endsWith('/restore')) return ['restored']
  const kind = kindOfAction[action]
  if (!kind) return []
  const isUpsert = parameters.some(one => 'name' in one && one.name === 'on_deleted')
  return isUpsert ? ['created', 'updated', 'restored'] : [kind]
}
