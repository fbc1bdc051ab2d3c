import { Context } from '../../src/core/access/context.ts'
import type { buildApp } from '../../src/app.ts'
import { organizationService } from '../../src/modules/identity/organizations/service.ts'
import { userService } from '../../src/modules/identity/users/service.ts'

export type App = Awaited<ReturnType<typeof buildApp>>

let created = 0

/** A user of an organization who makes calls; logged in again when a call ended the session. */
export class Actor {
  readonly name: string
  readonly #app: App
  readonly #organization: number
  readonly #role: string
  #token: string | undefined

  constructor(app: App, name: string, organization: number, role: string) {
    this.#app = app
    this.name = name
    this.#organization = organization
    this.#role = role
  }

  async headers(): Promise<{ authorization: string }> {
    this.#token ??= await this.#login()
    return { authorization: `Bearer ${this.#token}` }
  }

  /** To be called after a 401. */
  forget(): void {
    this.#token = undefined
  }

  /** Has the organization require no second factor, without which all other calls are refused. */
  async requireNoSecondFactor(): Promise<void> {
    const ctx = Context.system(this.#app.services, this.#organization)
    await organizationService.update(ctx, { second_factor: 'optional' })
  }

  /** As a new user, since calls may have changed or deleted the one before. */
  async #login(): Promise<string> {
    const username = `fuzzer-${++created}`
    const password = 'a quiet harbor 47'
    const ctx = Context.system(this.#app.services, this.#organization)
    const email = `${username}@example.com`
    const password_hash = await ctx.services.passwords.hash(password)
    await userService.createUnchecked(ctx, { username, email, password_hash, role: this.#role })
    const answer = await this.#app.inject({
      method: 'POST',
      url: '/api/auth/login',
      payload: { username, password },
      // an address of its own: others have tried wrong passwords
      remoteAddress: `10.${created >> 16}.${(created >> 8) & 255}.${created & 255}`
    })
    if (answer.statusCode !== 200) throw new Error(answer.body)
    return answer.json<{ token: string }>().token
  }
}
