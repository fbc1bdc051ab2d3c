import type { Transporter } from 'nodemailer'

/** Where mail is handed in, and what it says about us. */
export interface MailSettings {
  /** `smtp://…` or `smtps://…`, with user and password if the server wants them. */
  smtp_url: string
  /** The sender; its name may be empty. */
  from: { name: string; address: string }
  /** Where people find the front end, whose pages links point at; undefined: no links. */
  app_url: string | undefined
}

/** A mail of plain text to one person. */
interface Mail {
  to: string
  subject: string
  text: string
}

export interface Mailer {
  /** Errors: those of the SMTP server and of the connection to it, within half a minute. */
  send: (mail: Mail) => Promise<void>
  /**
   * A paragraph that says how to use a one-time token: a link to a page of the front end or,
   * without APP_URL, the token for a request.
   */
  describeToken: (token: string, use: { page: string; request: string }) => string
}

/** Milliseconds of silence after which a connection is given up. */
const silence = 10_000
/** Milliseconds that a whole mail may take. */
const limit = 30_000

/** A name as part of a text: it must not look like a paragraph of its own. */
export const oneLine = (name: string): string => name.replaceAll(/\s+/g, ' ')

/** Sends mail by SMTP, one connection for each mail. Nothing is connected before the first one. */
export function createMailer({ smtp_url, from, app_url }: MailSettings): Mailer {
  let transport: Promise<Transporter> | undefined
  return {
    async send({ to, ...mail }) {
      transport ??= openTransport(smtp_url)
      await (
        await transport
      ).sendMail({
        from,
        to: { name: '', address: to }, // never parsed as a list of addresses
        ...mail,
        headers: { 'Auto-Submitted': 'auto-generated' }, // RFC 3834: no vacation replies
        signal: AbortSignal.timeout(limit)
      })
    },
    describeToken: (token, { page, request }) =>
      app_url === undefined
        ? `Your token is\n\n${token}\n\nEnter it where you are asked to, or send it by ${request}.`
        : `Open this page:\n\n${app_url.replace(/\/+$/, '')}/${page}?token=${token}`
  }
}

/** The library is loaded when it is needed: most processes never send a mail. */
async function openTransport(url: string): Promise<Transporter> {
  const { createTransport } = await import('nodemailer')
  return createTransport({
    url,
    connectionTimeout: silence,
    greetingTimeout: silence,
    socketTimeout: silence,
    dnsTimeout: silence,
    disableFileAccess: true,
    disableUrlAccess: true
  })
}
