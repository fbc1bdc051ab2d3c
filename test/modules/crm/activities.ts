export type Activity = Record<string, unknown> & {
  id: number
  completed_at: string | null
  created_at: string
}
export const ids = (rows: { id: number }[]) => rows.map(({ id }) => id)
