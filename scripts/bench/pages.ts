import { median } from './median.ts'

interface Page {
  next_cursor: string | null
}

/** Times the first and the last full page of a list. `middle` is a cursor in its middle. */
export async function measurePages(url: string, headers: Record<string, string>, size: number) {
  const page = async (limit: number, cursor?: string) => {
    const query = `limit=${limit}${cursor === undefined ? '' : `&cursor=${cursor}`}`
    const response = await fetch(`${url}?${query}`, { headers })
    if (response.status !== 200) throw new Error(await response.text())
    return (await response.json()) as Page
  }
  const cursorAfter = async (rows: number): Promise<string> => {
    let cursor: string | undefined
    for (let remaining = rows; remaining > 0; remaining -= 200)
      cursor = (await page(Math.min(remaining, 200), cursor)).next_cursor!
    return cursor!
  }
  const time = async (cursor?: string) => {
    const start = performance.now()
    await page(50, cursor)
    return performance.now() - start
  }

  const number = Math.floor(size / 50)
  const middle = await cursorAfter(Math.floor(size / 2))
  const end = await cursorAfter((number - 1) * 50)
  const first: number[] = []
  const last: number[] = []
  for (let i = 0; i < 300; i++) {
    first.push(await time())
    last.push(await time(end))
  }
  return { middle, first: median(first), last: median(last), number }
}
