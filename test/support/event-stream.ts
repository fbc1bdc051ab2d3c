// A reader of server-sent events.

export interface Message {
  id: string
  event: string
  data: string
}

/** The messages of a stream until it ends. Errors: of the network; for any status but 200. */
export async function* messagesOf(
  url: string,
  headers: Record<string, string>,
  signal?: AbortSignal
): AsyncGenerator<Message> {
  const answer = await fetch(url, { headers, ...(signal && { signal }) })
  if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`)
  let text = ''
  for await (const part of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += part
    const blocks = text.split('\n\n')
    text = blocks.pop()!
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1]
      const [id = '', event = 'message', data] = [field('id'), field('event'), field('data')]
      if (data !== undefined) yield { id, event, data }
    }
  }
}
