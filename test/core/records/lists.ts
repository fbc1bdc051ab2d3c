export type Row = Record<string, string | number | null> & { id: number }
