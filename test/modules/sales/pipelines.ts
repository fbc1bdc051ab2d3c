import { randomBytes } from 'node:crypto'
import { Context } from '../../../src/core/access/context.ts'
import { organization, type App } from '../../support/app.ts'

export interface Stage {
  id: number
  key: string
  position: number
  kind: string
  next_stages: string[] | null
}
export interface Move {
  from_stage: string | null
  to_stage: string
  moved_at: string
  actor_id: number | null
  seconds: number | null
  pipeline_id: number
}
export const word = () => `w${randomBytes(5).toString('hex')}`

/** A new organization with its default pipeline, and a second one with other stages. */
export async function organizationWithPipelines(app: App) {
  const { id: organization_id, call, admin, user } = await organization(app)
  const [{ id: sales }] = (await call('GET /api/pipelines')).json().data
  const partners = (
    await call('POST /api/pipelines', {
      name: 'Partners',
      stages: [
        { key: 'contacted', name: 'Contacted', probability: 20, next_stages: ['agreed', 'gone'] },
        {
          key: 'agreed',
          name: 'Agreed',
          probability: 80,
          required_fields: ['amount', 'close_date']
        },
        { key: 'signed', name: 'Signed', kind: 'won' },
        { key: 'gone', name: 'Gone', kind: 'lost' }
      ]
    })
  ).json().id as number
  const stagesOf = async (pipeline_id: number) =>
    (await call(`GET /api/stages?pipeline_id=${pipeline_id}&sort=position`)).json().data as Stage[]
  const stage = async (key: string, pipeline_id = sales) =>
    (await stagesOf(pipeline_id)).find(stage => stage.key === key)!
  const create = async (fields: object = {}) =>
    (await call('POST /api/opportunities', { title: 'A sale', ...fields })).json()
  const moves = async (id: number) =>
    (await call(`GET /api/opportunities/${id}/moves?limit=200`)).json().data as Move[]
  const ctx = Context.system(app.services, organization_id)
  return {
    organization_id,
    call,
    admin,
    user,
    sales,
    partners,
    stagesOf,
    stage,
    create,
    moves,
    ctx
  }
}
