import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type, type TObject, type TProperties } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { Context } from '../../../core/access/context.ts'
import { withCompression } from '../../../core/http/compression.ts'
import { asCsv, bomParameter, csv, formatOf } from '../../../core/http/formats.ts'
import { defineTag, problems } from '../../../core/http/operations.ts'
import { sampleOf } from '../../../core/http/resource-mount.ts'
import { json, response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { recordExport } from '../../../core/records/events.ts'
import type { FilterLanguage } from '../../../core/records/filter-language.ts'
import { pascalCase } from '../../../core/names.ts'
import { activityResource } from '../../crm/activities/resource.ts'
import { leadResource } from '../../crm/leads/resource.ts'
import { opportunityResource } from '../../sales/opportunities/resource.ts'
import { drawChart, everyMonth, type ChartOptions } from './chart.ts'
import type { Report, ReportQuery } from './grouping.ts'
import {
  activityLanguage,
  cohortLanguage,
  monthParameters,
  opportunityLanguage,
  pipelineParameter
} from './languages.ts'
import {
  ActivityReport,
  ForecastReport,
  FunnelReport,
  PipelineReport,
  SourcesReport
} from './schema.ts'
import { reportService } from './service.ts'

const tags = [defineTag('reports', 'Figures, each with the filtered list that it is based on.')]
const formats = ['application/json', 'text/csv', 'image/svg+xml'] as const
/** A chart that is opened by itself runs nothing and fetches nothing. */
const chartPolicy = "default-src 'none'; style-src 'unsafe-inline'"
const everyReport =
  'Each row includes the path and filter of the list that its figures are based on. CSV ' +
  'contains the rows without the totals; SVG contains a chart.'

interface ReportContract {
  description: string
  schema: TObject
  language: FilterLanguage
  /** Beside the filters. */
  parameters?: TProperties
  /** The paths of the resources that it counts. */
  of: string[]
  run: (ctx: Context, query: ReportQuery) => Promise<Report>
  chart: ChartOptions
}

const reports: Record<string, ReportContract> = {
  pipeline: {
    description:
      'Number, amount and probability-weighted amount of opportunities by stage and owner, for ' +
      'the default pipeline unless `pipeline_id` is given. The totals are overall and by status.',
    schema: PipelineReport,
    language: opportunityLanguage,
    of: [opportunityResource.path],
    run: reportService.pipeline,
    chart: {
      title: 'Pipeline: amount by stage and owner',
      columns: 'stacked',
      category: 'stage_name',
      series: 'assigned_to_name',
      value: 'amount',
      absent: 'Unassigned'
    }
  },
  forecast: {
    description:
      'Open opportunities by the month of `close_date` and won ones by the month in which they ' +
      'were won (`closed_at`), for all pipelines and months unless filtered. ' +
      '`month[gte]` and `month[lte]` limit both. Open ones in past months are overdue; those ' +
      'without a `close_date` come last.',
    schema: ForecastReport,
    language: opportunityLanguage,
    parameters: monthParameters,
    of: [opportunityResource.path],
    run: reportService.forecast,
    chart: {
      title: 'Forecast: weighted amount by month',
      columns: 'stacked',
      category: 'month',
      series: 'status',
      value: 'weighted',
      absent: 'No date',
      categories: everyMonth
    }
  },
  funnel: {
    description:
      'How many leads reached each status and how many opportunities reached each stage, how ' +
      'many are there now, how many moved on, and how long they stayed. A filter on ' +
      '`created_at` limits the report to leads and opportunities created in that period. The ' +
      'totals count each record once.',
    schema: FunnelReport,
    language: cohortLanguage,
    parameters: pipelineParameter,
    of: [leadResource.path, opportunityResource.path],
    run: reportService.funnel,
    chart: {
      title: 'Funnel: leads and opportunities by step',
      columns: 'grouped',
      category: 'step_name',
      series: 'measure',
      value: 'count'
    }
  },
  sources: {
    description:
      'Leads by source, with how many were qualified and converted; the opportunities that came ' +
      'from them, with how many were won, and their amounts. A deleted lead is not counted, but ' +
      'is still the source of its opportunities. Measures without records may be omitted.',
    schema: SourcesReport,
    language: cohortLanguage,
    of: [leadResource.path, opportunityResource.path],
    run: reportService.sources,
    chart: {
      title: 'Sources: leads and opportunities',
      columns: 'grouped',
      category: 'source',
      series: 'measure',
      value: 'count',
      absent: 'No source'
    }
  },
  activity: {
    description: 'Number and total duration of activities by user, type and status.',
    schema: ActivityReport,
    language: activityLanguage,
    of: [activityResource.path],
    run: reportService.activity,
    chart: {
      title: 'Activity: activities by user and type',
      columns: 'stacked',
      category: 'assigned_to_name',
      series: 'type',
      value: 'count',
      absent: 'Unassigned'
    }
  }
}

const textBody = (format: string, description: string, example: string) => ({
  schema: Type.String({ description, example, maxLength: Number.MAX_SAFE_INTEGER, format })
})

const routes: FastifyPluginAsyncTypebox = async app => {
  await withCompression(app, app => {
    for (const [name, contract] of Object.entries(reports)) mountReport(app, name, contract)
  })
}

function mountReport(app: FastifyInstance, name: string, contract: ReportContract): void {
  const { description, schema, language, parameters, of, run, chart } = contract
  const row = schema.properties.data!.items as TObject
  const columns = Object.keys(row.properties)
  const content = {
    'application/json': { schema: Ref(schema) },
    'text/csv': textBody(
      'csv',
      'A header line, then one line per row.',
      csv([sampleOf(row)], columns)
    ),
    'image/svg+xml': textBody(
      'svg',
      'A chart.',
      '<svg xmlns="http://www.w3.org/2000/svg" width="960" height="540"/>'
    )
  }
  app.addSchema(schema)
  app.get(
    `/${name}`,
    {
      config: { permission: `${of[0]}:read` },
      schema: {
        operationId: `report${pascalCase(name)}`,
        summary: `Get the ${name} report`,
        description: `${description} ${everyReport}`,
        tags,
        ...problems(422),
        querystring: Type.Object(
          { ...language.parameters, ...parameters, bom: bomParameter },
          { additionalProperties: false, patternProperties: language.keyed.patterns }
        ),
        response: {
          200: { ...response(200, 'The report.', Ref(schema), 'Content-Disposition')[200], content }
        }
      }
    },
    async (request, reply) => {
      const format = formatOf(request.headers.accept, formats)
      const { bom = false, ...query } = request.query as ReportQuery & { bom?: boolean }
      for (const path of of) {
        request.ctx.require(`${path}:read`)
        if (format === 'text/csv') request.ctx.require(`${path}:export`)
      }
      const report = await run(request.ctx, query)
      if (format === 'text/csv') {
        await recordExport(request.ctx, `reports/${name}`, format, query)
        return asCsv(reply, `${name}-report`).send(csv(report.data, columns, bom))
      }
      if (format === 'application/json')
        return reply.type(json).send(JSON.stringify({ report: name, ...report }))
      return reply
        .type('image/svg+xml; charset=utf-8')
        .header('content-security-policy', chartPolicy)
        .send(await drawChart(report.data, chart))
    }
  )
}

export default routes
