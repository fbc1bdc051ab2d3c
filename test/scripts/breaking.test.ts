import t from 'tap'
import { breakingChanges, type Document as Contract } from '../../scripts/breaking.ts'

const contract = (changes: {
  create?: object
  record?: object
  sort?: string
  codes?: string[]
  operations?: object
}): Contract => ({
  paths: {
    '/leads': {
      get: {
        operationId: 'listLeads',
        parameters: [
          {
            name: 'sort',
            in: 'query',
            schema: { type: 'string', pattern: changes.sort ?? '^(id|score)(,(id|score)){0,1}$' }
          }
        ],
        responses: {
          200: {
            headers: { Link: {} },
            content: {
              'application/json': {
                schema: { type: 'array', items: { $ref: '#/components/schemas/Lead' } }
              }
            }
          }
        }
      },
      post: {
        operationId: 'createLead',
        requestBody: {
          required: true,
          content: { 'application/json': { schema: { $ref: '#/components/schemas/NewLead' } } }
        },
        responses: { 201: {} }
      },
      ...changes.operations
    }
  },
  components: {
    schemas: {
      Problem: {
        type: 'object',
        properties: { code: { type: 'string', enum: changes.codes ?? ['invalid', 'stale'] } }
      },
      Lead: {
        type: 'object',
        required: ['id', 'note'],
        properties: { id: { type: 'integer' }, note: { type: 'string' } },
        ...changes.record
      },
      NewLead: {
        type: 'object',
        required: [],
        properties: {
          note: { type: 'string', nullable: true, maxLength: 100 },
          status: { type: 'string', enum: ['new', 'won'] }
        },
        ...changes.create
      }
    }
  }
})
const note = { type: 'string', nullable: true, maxLength: 100 }
const status = { type: 'string', enum: ['new', 'won'] }

t.test('breaking changes are distinguished from additions', async t => {
  const before = contract({})
  const breaking = (changes: Parameters<typeof contract>[0]) =>
    breakingChanges(before, contract(changes))
  t.same(
    breaking({
      create: {
        properties: {
          note: { ...note, maxLength: 200 },
          status: { ...status, enum: ['new', 'lost', 'won'] },
          source: { type: 'string' }
        }
      },
      record: {
        required: ['id', 'note', 'source'],
        properties: {
          id: { type: 'integer' },
          note: { type: 'string' },
          source: { type: 'string' }
        }
      },
      sort: '^(id|score|source)(,(id|score|source)){0,1}$',
      operations: { delete: { operationId: 'deleteLeads', responses: {} } }
    }),
    [],
    'additions pass'
  )
  t.same(breaking({ operations: { post: undefined } }), ['POST /leads is gone'])
  t.same(
    breaking({
      operations: { post: { ...before.paths['/leads']!.post, operationId: 'makeLead' } }
    }),
    ['POST /leads was called createLead and is called makeLead']
  )
  t.same(
    breaking({
      operations: {
        post: {
          ...before.paths['/leads']!.post,
          parameters: [{ name: 'key', in: 'header', required: true, schema: {} }]
        }
      }
    }),
    ['POST /leads header key is now required']
  )
  t.same(breaking({ operations: { get: { ...before.paths['/leads']!.get, parameters: [] } } }), [
    'GET /leads query sort is gone'
  ])
  t.same(breaking({ operations: { get: { ...before.paths['/leads']!.get, responses: {} } } }), [
    'GET /leads 200 is gone'
  ])
  t.same(breaking({ sort: '^(id)(,(id)){0,1}$' }), ['GET /leads query sort no longer takes score'])
  t.same(
    breaking({
      record: {
        required: ['id'],
        properties: { id: { type: 'string' }, note: { type: 'string', nullable: true } }
      }
    }),
    [
      'Lead.note is no longer always there',
      'Lead.id was integer and is string',
      'Lead.note may now be null'
    ]
  )
  const kinds = ['call', 'mail'].map(kind => ({
    ...before.components!.schemas!.Lead!,
    properties: { ...before.components!.schemas!.Lead!.properties, [kind]: {} }
  }))
  t.same(breaking({ record: { oneOf: kinds } }), [], 'kinds with the same common fields pass')
  t.same(breaking({ record: { oneOf: [kinds[0], { ...kinds[1], required: ['id'] }] } }), [
    'Lead.note is no longer always there'
  ])
  const { required: _, ...partial } = before.components!.schemas!.Lead!
  t.same(
    breaking({ record: { anyOf: [before.components!.schemas!.Lead!, partial] } }),
    ['Lead.id is no longer always there', 'Lead.note is no longer always there'],
    'a partial record may lack any field'
  )
  t.same(breaking({ record: { required: ['id'], properties: { id: { type: 'integer' } } } }), [
    'Lead.note is no longer always there',
    'Lead.note is gone'
  ])
  t.same(
    breaking({
      create: {
        required: ['status'],
        properties: {
          note: { type: 'string', maxLength: 50 },
          status: { ...status, enum: ['new'] }
        }
      }
    }),
    [
      'NewLead.status is now required',
      'NewLead.note may no longer be null',
      'NewLead.note has a maxLength of 50 now',
      'NewLead.status no longer takes won'
    ]
  )
})

t.test('a renamed error code is a breaking change', async t => {
  const breaking = (codes: string[]) => breakingChanges(contract({}), contract({ codes }))
  t.same(breaking(['invalid', 'stale', 'conflict']), [])
  t.same(breaking(['invalid', 'outdated']), ['error code stale is gone'])
})
