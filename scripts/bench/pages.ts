import { median } from './search.ts'

interface Answer {
  next_cursor: string | null
}

/**
 * Opens a list at `url` and walks: how long its first page and its last full one take, in ms, and a
 * cursor in its middle.
 */
export async function walk(url: string, headers: Record<string, string>, size: number) {
  const page = async (limit: number, cursor?: string) => {
    const answer = await fetch(
      `${url}?limit=${limit}${cursor === undefined ? '' : `&cursor=${cursor}`}`,
      { headers }
    )
    if (answer.status !== 200) throw new Error(await answer.text())
    return (await answer.json()) as Answer
  }
  const after = async (rows: number): Promise<string> => {
    let cursor: string | undefined
    for (let left = rows; left > 0; left -= 200)
      cursor = (await page(Math.min(left, 200), cursor)).next_cursor!
    return cursor!
  }
  const number = Math.floor(size / 50)
  const middle = await after(Math.floor(size / 2))
  const end = await after((number - 1) * 50)

  const timed = async (cursor?: string) => {
    const began = performance.now()
    await page(50, cursor)
    return performance.now() - began
  }
  const first: number[] = []
  const last: number[] = []
  for (let i = 0; i < 300; i++) {
    first.push(await timed())
    last.push(await timed(end))
  }
  return { middle, first: median(first), last: median(last), number }
}
