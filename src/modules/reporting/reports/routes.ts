import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type, type TObject, type TProperties } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { csv, formatOf } from '../../../core/http/formats.ts'
import { capital, json } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { activityLanguage } from '../../crm/activities/schema.ts'
import { opportunityLanguage } from '../../sales/opportunities/schema.ts'
import type { Asked, Report as Made } from './grouping.ts'
import { drawn, everyMonth, type Picture } from './chart.ts'
import { funnel } from './funnel.ts'
import {
  ActivityReport,
  cohortLanguage,
  ForecastReport,
  FunnelReport,
  pipelineParameter,
  PipelineReport,
  SourcesReport
} from './schema.ts'
import { activity, forecast, pipeline, sources } from './service.ts'

const spoken = ['application/json', 'text/csv', 'image/svg+xml'] as const
/** A picture that somebody opens by itself runs nothing and fetches nothing. */
const picturePolicy = "default-src 'none'; style-src 'unsafe-inline'"
const everyReport =
  'Each row names the list, with its filter, that its numbers can be added up from. ' +
  'As CSV it is the rows without the totals, as SVG a chart.'

/** What a report says of itself: the schema of its answer, what it can be asked for, who makes it, and how it is drawn. */
interface Contract {
  description: string
  answer: TObject
  parameters: TProperties
  make: (ctx: Context, asked: Asked) => Promise<Made>
  picture: Picture
}

const reports: Record<string, Contract> = {
  pipeline: {
    description:
      'Opportunities by stage and owner, of the default pipeline unless `pipeline_id` says which: ' +
      'how many, their amount, and the amount weighted by probability. The totals are those of all, and those that are open, won or lost.',
    answer: PipelineReport,
    parameters: opportunityLanguage.parameters,
    make: pipeline,
    picture: {
      title: 'Pipeline: amount by stage and owner',
      columns: 'stacked',
      category: 'stage_name',
      series: 'assigned_to_name',
      value: 'amount',
      absent: 'nobody'
    }
  },
  forecast: {
    description:
      'Opportunities that are open or won, by the month of `close_date`: those of all pipelines and months, unless a filter says which. ' +
      'Open ones of past months are overdue; those without a `close_date` come last.',
    answer: ForecastReport,
    parameters: opportunityLanguage.parameters,
    make: forecast,
    picture: {
      title: 'Forecast: weighted amount by month',
      columns: 'stacked',
      category: 'month',
      series: 'status',
      value: 'weighted',
      absent: 'no date',
      between: everyMonth
    }
  },
  funnel: {
    description:
      'How many leads came to each status and how many opportunities to each stage, how many are there now, how many went on, ' +
      'and how long they stayed. A filter on `created_at` makes it a cohort: of the leads, and the opportunities, that were made then. ' +
      'The totals count each of them once.',
    answer: FunnelReport,
    parameters: { ...cohortLanguage.parameters, ...pipelineParameter },
    make: funnel,
    picture: {
      title: 'Funnel: leads and opportunities by step',
      columns: 'grouped',
      category: 'step_name',
      series: 'measure',
      value: 'count'
    }
  },
  sources: {
    description:
      'Leads by source, how many were qualified and converted; the opportunities that grew out of them, how many were won, and their amounts. ' +
      'What a source has none of may be absent.',
    answer: SourcesReport,
    parameters: cohortLanguage.parameters,
    make: sources,
    picture: {
      title: 'Sources: leads and opportunities',
      columns: 'grouped',
      category: 'source',
      series: 'measure',
      value: 'count',
      absent: 'no source'
    }
  },
  activity: {
    description:
      'Activities by user, type and status: how many, and how many minutes they take or took.',
    answer: ActivityReport,
    parameters: activityLanguage.parameters,
    make: activity,
    picture: {
      title: 'Activity: activities by user and type',
      columns: 'stacked',
      category: 'assigned_to_name',
      series: 'type',
      value: 'count',
      absent: 'nobody'
    }
  }
}

/** A body that is text of some `format`. */
const textual = (format: string, description: string, example: string) => ({
  schema: Type.String({ description, example, maxLength: Number.MAX_SAFE_INTEGER, format })
})

const routes: FastifyPluginAsyncTypebox = async app => {
  for (const [name, { description, answer, parameters, make, picture }] of Object.entries(
    reports
  )) {
    const cells = (answer.properties.data!.items as TObject).properties
    const columns = Object.keys(cells)
    const sample = Object.fromEntries(
      Object.entries(cells).map(([column, { example }]) => [column, example as unknown])
    )
    app.addSchema(answer)
    app.get(
      `/${name}`,
      {
        config: { permission: 'reports:read' },
        schema: {
          operationId: `report${capital(name)}`,
          summary: `Report the ${name}`,
          description: `${description} ${everyReport}`,
          tags: ['reports'],
          querystring: Type.Object(parameters, { additionalProperties: false }),
          response: {
            200: {
              description: 'The report.',
              content: {
                'application/json': { schema: Ref(answer) },
                'text/csv': textual(
                  'csv',
                  'A header line, then a line for each row.',
                  csv([sample], columns, true)
                ),
                'image/svg+xml': textual(
                  'svg',
                  'A chart.',
                  '<svg xmlns="http://www.w3.org/2000/svg" width="960" height="540"/>'
                )
              }
            }
          }
        }
      },
      async (request, reply) => {
        const format = formatOf(request.headers.accept, spoken)
        const report = await make(request.ctx, request.query as Asked)
        if (format === 'text/csv')
          return reply.type('text/csv; charset=utf-8').send(csv(report.data, columns, true))
        if (format === 'application/json')
          return reply.type(json).send(JSON.stringify({ report: name, ...report }))
        return reply
          .type('image/svg+xml; charset=utf-8')
          .header('content-security-policy', picturePolicy)
          .send(await drawn(report.data, picture))
      }
    )
  }
}

export default routes
