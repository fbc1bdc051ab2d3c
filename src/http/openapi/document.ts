import type { ProblemStatus } from '../../core/http/operations.ts'

export interface Parameter {
  name: string
  in: string
  required?: boolean
  description?: string
  example?: string | number | boolean | object
  schema?: object
}
export interface Response {
  headers?: Record<string, unknown>
  content?: Record<string, { schema: object }>
}
export interface Operation {
  operationId?: string
  description?: string
  tags?: string[]
  security?: unknown[]
  requestBody?: unknown
  parameters?: (Parameter | Reference)[]
  responses: Record<string, Response | Reference>
  'x-problems'?: ProblemStatus[]
  'x-step-up'?: true
  'x-permission'?: string
  'x-events'?: string[]
}
export interface Reference {
  $ref: string
}
export interface Document {
  paths: Record<string, Record<string, Operation>>
  components?: Record<string, Record<string, unknown>>
  tags?: { name: string; description?: string }[]
}

export const reference = (kind: string, name: string): Reference => ({
  $ref: `#/components/${kind}/${name}`
})
