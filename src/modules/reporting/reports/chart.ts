/**
 * How rows are drawn, by the names of their fields: for each `category` and `series` a column as
 * high as the sum of `value`. Columns are stacked where they are parts of a whole, otherwise
 * grouped. `absent` is the name of null; `categories` completes and orders the categories.
 */
export interface ChartOptions {
  title: string
  category: string
  series: string
  value: string
  columns: 'stacked' | 'grouped'
  absent?: string
  categories?: (present: string[]) => string[]
}

type Row = Record<string, string | number | null>

/** ECharts has a color for each; smaller ones are combined. */
const maxSeries = 8
/** More names do not fit side by side, and some are omitted. */
const maxNames = 12
const others = 'Other'
const nothing = '–'

/** ECharts is large, and most processes never draw a chart. */
async function echarts() {
  const [
    { init, use },
    { BarChart },
    { GridComponent, LegendComponent, TitleComponent },
    { SVGRenderer }
  ] = await Promise.all([
    import('echarts/core'),
    import('echarts/charts'),
    import('echarts/components'),
    import('echarts/renderers')
  ])
  use([BarChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer])
  return init
}

/** What XML does not allow, not even escaped, and line breaks. */
const unprintable = /[^\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu
/**
 * ECharts keeps text widths in a plain object: a text `__proto__` or `constructor` would change
 * every object of the process (zrender 6, core/LRU). An invisible space breaks up such words, which
 * may stand alone when a text is truncated.
 */
const inherited = new RegExp(`(?=${Object.getOwnPropertyNames(Object.prototype).join('|')}).`, 'g')

/** A name that a user has typed, as it can be drawn. */
const label = (value: string | number) =>
  String(value).replaceAll(unprintable, '\uFFFD').replaceAll(inherited, '$&\u200B').trim() ||
  nothing

interface Point {
  category: string
  series: string
  value: number
}

/** Rows of a report as a chart: an SVG document without scripts, 960 × 540. */
export async function drawChart(rows: readonly object[], options: ChartOptions): Promise<string> {
  const { category, series, value, absent = nothing, categories: complete } = options
  const points = (rows as Row[]).map(row => ({
    category: label(row[category] ?? absent),
    series: label(row[series] ?? absent),
    value: Number(row[value] ?? 0)
  }))
  const present = [...new Set(points.map(point => point.category))]
  const init = await echarts()
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: 960, height: 540 })
  chart.setOption(layout(options, points, complete ? complete(present) : present))
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}

/** The chart as ECharts takes it. */
function layout({ title, columns }: ChartOptions, points: Point[], categories: string[]) {
  const isEmpty = points.every(({ value }) => value === 0)
  const notice = { text: 'No data', left: 'center', top: 'middle' }
  return {
    animation: false,
    backgroundColor: '#fff',
    title: [{ text: title, left: 'center', top: 12 }, ...(isEmpty ? [notice] : [])],
    legend: { bottom: 12, textStyle: { width: 160, overflow: 'truncate' } },
    grid: { left: 24, right: 24, top: 56, bottom: 88 },
    xAxis: {
      type: 'category',
      data: categories,
      axisLabel: {
        interval: categories.length > maxNames ? 'auto' : 0,
        width: Math.max(64, Math.floor(780 / categories.length)),
        overflow: 'truncate'
      }
    },
    yAxis: { type: 'value' },
    series: seriesOf(points, categories, columns === 'stacked')
  } as const
}

/** The largest series, and one for all others. */
function seriesOf(points: Point[], categories: string[], stacked: boolean) {
  const sizes = totals(points, point => point.series)
  const bySize = [...sizes].toSorted(([, a], [, b]) => b - a)
  const largest = new Set(bySize.slice(0, maxSeries).map(([name]) => name))
  const shown = [...sizes.keys()].filter(name => largest.has(name))
  const groups = Map.groupBy(points, ({ series }) => (largest.has(series) ? series : others))
  return [...new Set([...shown, ...groups.keys()])].map(name => {
    const heights = totals(groups.get(name) ?? [], point => point.category)
    const data = categories.map(category => heights.get(category) ?? 0)
    return { type: 'bar' as const, name, data, ...(stacked ? { stack: 'whole' } : {}) }
  })
}

/** Longer ranges are not completed. */
const maxMonths = 120

/** All months (`YYYY-MM`) from the first to the last of those present, then what is no month. */
export function everyMonth(present: string[]): string[] {
  const months = present.filter(name => /^\d{4}-\d{2}$/.test(name))
  const [first, last] = [months[0], months.at(-1)]
  if (first === undefined || last === undefined) return present
  const all: string[] = []
  const day = new Date(first)
  while (day <= new Date(last)) {
    if (all.push(day.toISOString().slice(0, 7)) > maxMonths) return present
    day.setUTCMonth(day.getUTCMonth() + 1)
  }
  return [...new Set([...all, ...present])]
}

function totals(points: Point[], keyOf: (point: Point) => string): Map<string, number> {
  const sums = new Map<string, number>()
  for (const point of points) sums.set(keyOf(point), (sums.get(keyOf(point)) ?? 0) + point.value)
  return sums
}
