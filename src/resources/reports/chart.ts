/**
 * What of the rows is shown, by names of their fields: at each `category` a column as high as the sum of `value` for each `series`. The columns
 * stand on each other where they are parts of a whole, else beside each other.
 */
export interface Picture { title: string, category: string, series: string, value: string, columns: 'stacked' | 'grouped' }

type Row = Record<string, string | number | null>

/** As many as ECharts has colours, with the smaller ones, which go together. */
const mostSeries = 8
/** More names than these do not fit side by side, and some are left out. */
const mostNames = 12
const others = 'others'
const nothing = '–'

/** ECharts is large, and most processes are never asked for a picture. */
async function echarts () {
  const [{ init, use }, { BarChart }, { GridComponent, LegendComponent, TitleComponent }, { SVGRenderer }] = await Promise.all([
    import('echarts/core'), import('echarts/charts'), import('echarts/components'), import('echarts/renderers')])
  use([BarChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer])
  return init
}

/** What XML does not know, not even escaped; a line break would begin a line of its own. */
const unprintable = /[^\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu
/**
 * ECharts keeps widths of texts in a plain object: one called `__proto__` or `constructor` would change every object of the process
 * (zrender 6, core/LRU). Such a word is broken by a space that nobody sees, as it might come to stand alone when a text is cut.
 */
const inherited = new RegExp(`(?=${Object.getOwnPropertyNames(Object.prototype).join('|')}).`, 'g')

/** A name, which is what a user has typed, as it can be shown. */
const label = (value: string | number | null | undefined) =>
  String(value ?? '').replaceAll(unprintable, '\uFFFD').replaceAll(inherited, '$&\u200B').trim() || nothing

/** Rows of a report as a chart: an SVG document without scripts, 960 × 540. */
export async function drawn (rows: readonly object[], { title, category, series, value, columns }: Picture): Promise<string> {
  const points = (rows as Row[]).map(row => ({ category: label(row[category]), series: label(row[series]), value: Number(row[value] ?? 0) }))
  const categories = [...new Set(points.map(point => point.category))]
  const sizes = totals(points, point => point.series)
  const largest = new Set([...sizes].toSorted(([, a], [, b]) => b - a).slice(0, mostSeries).map(([name]) => name))
  const shown = [...sizes.keys()].filter(name => largest.has(name))
  const parts = Map.groupBy(points, point => largest.has(point.series) ? point.series : others)

  const chart = (await echarts())(null, null, { renderer: 'svg', ssr: true, width: 960, height: 540 })
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    title: { text: title, left: 'center', top: 12 },
    legend: { bottom: 12, textStyle: { width: 160, overflow: 'truncate' } },
    grid: { left: 24, right: 24, top: 56, bottom: 88 },
    xAxis: {
      type: 'category', data: categories,
      axisLabel: { interval: categories.length > mostNames ? 'auto' : 0, width: Math.max(64, Math.floor(780 / categories.length)), overflow: 'truncate' }
    },
    yAxis: { type: 'value' },
    series: [...new Set([...shown, ...parts.keys()])].map(name => {
      const heights = totals(parts.get(name) ?? [], point => point.category)
      return { type: 'bar', name, ...columns === 'stacked' && { stack: 'whole' }, data: categories.map(category => heights.get(category) ?? 0) }
    })
  })
  const picture = chart.renderToSVGString()
  chart.dispose()
  return picture
}

function totals<Point extends { value: number }> (points: Point[], keyOf: (point: Point) => string): Map<string, number> {
  const sums = new Map<string, number>()
  for (const point of points) sums.set(keyOf(point), (sums.get(keyOf(point)) ?? 0) + point.value)
  return sums
}
