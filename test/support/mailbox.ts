import { SMTPServer } from 'smtp-server'
import type { Test } from 'tap'
import type { MailSettings } from '../../src/core/mail.ts'

export interface ReceivedMail {
  to: string[]
  subject: string
  /** As it came. */
  source: string
  text: string
  /** The one-time token in it. */
  token: string
}

/**
 * An SMTP server that receives all mail until the end of the test. `refuse` makes it refuse the
 * next mails, so many of them.
 */
export async function mailbox(t: Test) {
  const mails: ReceivedMail[] = []
  let refusals = 0
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData(stream, { envelope }, callback) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        if (refusals > 0) {
          refusals--
          callback(new Error('try again later'))
          return
        }
        const to = envelope.rcptTo.map(({ address }) => address)
        mails.push(received(to, Buffer.concat(chunks).toString()))
        callback()
      })
    }
  })
  const listening = server.listen(0, '127.0.0.1')
  await new Promise(resolve => listening.once('listening', resolve))
  t.teardown(async () => {
    await new Promise<void>(resolve => {
      server.close(resolve)
    })
  })
  const { port } = listening.address() as { port: number }
  const settings: MailSettings = {
    smtp_url: `smtp://127.0.0.1:${port}`,
    from: { name: 'Acme, CRM', address: 'crm@example.com' },
    app_url: 'https://app.example.com/'
  }
  return {
    settings,
    mails,
    refuse: (count: number) => {
      refusals = count
    },
    /** Takes the only mail that there is. Errors: if there is none, or another one. */
    take(): ReceivedMail {
      const [mail, ...more] = mails.splice(0)
      if (!mail || more.length > 0)
        throw new Error(`there are ${more.length + (mail ? 1 : 0)} mails`)
      return mail
    }
  }
}

function received(to: string[], source: string): ReceivedMail {
  const [head = '', body = ''] = source.split(/\r\n\r\n(.*)/s)
  const isQuoted = /^content-transfer-encoding: quoted-printable/im.test(head)
  const text = isQuoted ? unquoted(body) : body
  return {
    to,
    subject: /^Subject: (.*)$/m.exec(head)?.[1]?.trim() ?? '',
    source,
    text,
    token: /(?:token=|^)([\w-]{43})\s*$/m.exec(text)?.[1] ?? ''
  }
}

/** Decodes quoted-printable text (RFC 2045 §6.7). */
function unquoted(text: string): string {
  const bytes = text
    .replaceAll('=\r\n', '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16))
    )
  return Buffer.from(bytes, 'latin1').toString()
}
