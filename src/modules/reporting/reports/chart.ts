/**
 * What of the rows is shown, by names of their fields: at each `category` a column as high as the sum of `value` for each `series`. The columns
 * stand on each other where they are parts of a whole, else beside each other. `absent` is what null is called, `between` names the categories
 * to show, in their order, if it is not only those that are there.
 */
export interface Picture {
  title: string
  category: string
  series: string
  value: string
  columns: 'stacked' | 'grouped'
  absent?: string
  between?: (there: string[]) => string[]
}

type Row = Record<string, string | number | null>

/** As many as ECharts has colours, with the smaller ones, which go together. */
const mostSeries = 8
/** More names than these do not fit side by side, and some are left out. */
const mostNames = 12
const others = 'others'
const nothing = '–'

/** ECharts is large, and most processes are never asked for a picture. */
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

/** What XML does not know, not even escaped; a line break would begin a line of its own. */
const unprintable = /[^\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu
/**
 * ECharts keeps widths of texts in a plain object: one called `__proto__` or `constructor` would change every object of the process
 * (zrender 6, core/LRU). Such a word is broken by a space that nobody sees, as it might come to stand alone when a text is cut.
 */
const inherited = new RegExp(`(?=${Object.getOwnPropertyNames(Object.prototype).join('|')}).`, 'g')

/** A name, which is what a user has typed, as it can be shown. */
const label = (value: string | number) =>
  String(value).replaceAll(unprintable, '\uFFFD').replaceAll(inherited, '$&\u200B').trim() ||
  nothing

/** Rows of a report as a chart: an SVG document without scripts, 960 × 540. */
export async function drawn(rows: readonly object[], picture: Picture): Promise<string> {
  const {
    title,
    category,
    series,
    value,
    columns,
    absent = nothing,
    between = there => there
  } = picture
  const points = (rows as Row[]).map(row => ({
    category: label(row[category] ?? absent),
    series: label(row[series] ?? absent),
    value: Number(row[value] ?? 0)
  }))
  const categories = between([...new Set(points.map(point => point.category))])
  const empty = points.every(point => point.value === 0)
  const sizes = totals(points, point => point.series)
  const largest = new Set(
    [...sizes]
      .toSorted(([, a], [, b]) => b - a)
      .slice(0, mostSeries)
      .map(([name]) => name)
  )
  const shown = [...sizes.keys()].filter(name => largest.has(name))
  const parts = Map.groupBy(points, point => (largest.has(point.series) ? point.series : others))

  const chart = (await echarts())(null, null, {
    renderer: 'svg',
    ssr: true,
    width: 960,
    height: 540
  })
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    title: [
      { text: title, left: 'center', top: 12 },
      ...(empty ? [{ text: 'Nothing to show', left: 'center', top: 'middle' }] : [])
    ],
    legend: { bottom: 12, textStyle: { width: 160, overflow: 'truncate' } },
    grid: { left: 24, right: 24, top: 56, bottom: 88 },
    xAxis: {
      type: 'category',
      data: categories,
      axisLabel: {
        interval: categories.length > mostNames ? 'auto' : 0,
        width: Math.max(64, Math.floor(780 / categories.length)),
        overflow: 'truncate'
      }
    },
    yAxis: { type: 'value' },
    series: [...new Set([...shown, ...parts.keys()])].map(name => {
      const heights = totals(parts.get(name) ?? [], point => point.category)
      return {
        type: 'bar',
        name,
        ...(columns === 'stacked' && { stack: 'whole' }),
        data: categories.map(category => heights.get(category) ?? 0)
      }
    })
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}

/** More than these are not filled up. */
const mostMonths = 120

/** The months from the first to the last of those that are there (`YYYY-MM`), in their order; then what is there and is no month. */
export function everyMonth(there: string[]): string[] {
  const months = there.filter(name => /^\d{4}-\d{2}$/.test(name))
  const all: string[] = []
  for (
    const day = new Date(months[0] ?? NaN);
    day <= new Date(months.at(-1)!);
    day.setUTCMonth(day.getUTCMonth() + 1)
  ) {
    if (all.push(day.toISOString().slice(0, 7)) > mostMonths) return there
  }
  return [...new Set([...all, ...there])]
}

function totals<Point extends { value: number }>(
  points: Point[],
  keyOf: (point: Point) => string
): Map<string, number> {
  const sums = new Map<string, number>()
  for (const point of points) sums.set(keyOf(point), (sums.get(keyOf(point)) ?? 0) + point.value)
  return sums
}
