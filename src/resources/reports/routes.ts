import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type, type TObject, type TProperties } from '@sinclair/typebox'
import type { Context } from '../../kit/context.ts'
import { csv, formatOf } from '../../kit/formats.ts'
import { capital, json } from '../../kit/routes.ts'
import { Ref } from '../../kit/schema.ts'
import { activityLanguage } from '../activities/schema.ts'
import { opportunityLanguage } from '../opportunities/schema.ts'
import { drawn, type Picture } from './chart.ts'
import { ActivityReport, cohortLanguage, ForecastReport, FunnelReport, pipelineParameter, PipelineReport, SourcesReport } from './schema.ts'
import * as reports from './service.ts'

const spoken = ['application/json', 'text/csv', 'image/svg+xml'] as const

/** A picture that somebody opens by itself runs nothing and fetches nothing. */
const picturePolicy = "default-src 'none'; style-src 'unsafe-inline'"

const routes: FastifyPluginAsyncTypebox = async app => {
  function report (name: string, description: string, Report: TObject, parameters: TProperties, make: (ctx: Context, asked: reports.Asked) => Promise<reports.Report>, picture: Picture) {
    const Row = (Report.properties.data!.items as TObject).properties
    const columns = Object.keys(Row)
    const sample = Object.fromEntries(Object.entries(Row).map(([column, { example, enum: values }]) => [column, (example ?? (values as unknown[] | undefined)?.[0]) as unknown]))
    app.addSchema(Report)
    app.get(`/${name}`, {
      config: { permission: 'reports:read' },
      schema: {
        operationId: `report${capital(name)}`, summary: `Report the ${name}`, tags: ['reports'],
        description: `${description} Each row names the list, and its filter, that its numbers can be added up from. As CSV it is the rows without the totals, as SVG a chart.`,
        querystring: Type.Object(parameters, { additionalProperties: false }),
        response: { 200: { description: 'The report.', content: {
          'application/json': { schema: Ref(Report) },
          'text/csv': { schema: Type.String({ description: 'A header line, then a line for each row.', example: csv([sample], columns, true), maxLength: Number.MAX_SAFE_INTEGER, format: 'csv' }) },
          'image/svg+xml': { schema: Type.String({ description: 'A chart.', example: '<svg xmlns="http://www.w3.org/2000/svg" width="960" height="540"/>', maxLength: Number.MAX_SAFE_INTEGER, format: 'svg' }) }
        } } }
      }
    }, async (request, reply) => {
      const format = formatOf(request.headers.accept, spoken)
      const made = await make(request.ctx, request.query as reports.Asked)
      switch (format) {
        case 'text/csv': return reply.type('text/csv; charset=utf-8').send(csv(made.data, columns, true))
        case 'image/svg+xml': return reply.type('image/svg+xml; charset=utf-8').header('content-security-policy', picturePolicy).send(await drawn(made.data, picture))
        default: return reply.type(json).send(JSON.stringify({ report: name, ...made }))
      }
    })
  }

  report('pipeline', 'Opportunities by stage and owner, of the default pipeline unless `pipeline_id` says which: how many, their amount, and the amount weighted by probability.',
    PipelineReport, opportunityLanguage.parameters, reports.pipeline, { title: 'Pipeline: amount by stage and owner', category: 'stage_name', series: 'assigned_to_name', value: 'amount' })

  report('forecast', 'Opportunities that are open or won by the month of `close_date`, in all pipelines and all months unless a filter says which; those without a `close_date` come last.',
    ForecastReport, opportunityLanguage.parameters, reports.forecast, { title: 'Forecast: weighted amount by month', category: 'month', series: 'status', value: 'weighted' })

  report('funnel', 'How many leads came to each status and how many opportunities to each stage, how many are there now, how many went on, and how long they stayed. A filter on `created_at` makes it a cohort: leads, and opportunities, that were made then.',
    FunnelReport, { ...cohortLanguage.parameters, ...pipelineParameter }, reports.funnel, { title: 'Funnel: leads and opportunities by step', category: 'step_name', series: 'measure', value: 'count' })

  report('sources', 'Leads by source, how many were qualified and converted; and the opportunities that grew out of them, how many were won, and their amounts. What a source has none of may be absent.',
    SourcesReport, cohortLanguage.parameters, reports.sources, { title: 'Sources: leads and opportunities', category: 'source', series: 'measure', value: 'count' })

  report('activity', 'Activities by user, type and status: how many, and how many minutes they take or took.',
    ActivityReport, activityLanguage.parameters, reports.activity, { title: 'Activity: activities by user and type', category: 'assigned_to_name', series: 'type', value: 'count' })
}

export default routes
