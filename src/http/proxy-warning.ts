import fp from 'fastify-plugin'

/** Warns once when requests seem to come through a proxy. For a process that trusts none. */
export const proxyWarning = fp(async app => {
  let hasWarned = false
  app.addHook('onRequest', (request, _reply, done) => {
    if (!hasWarned && request.headers['x-forwarded-for'] !== undefined) {
      hasWarned = true
      app.log.warn(
        `A request from ${request.ip} has X-Forwarded-For, but TRUST_PROXY is empty: all clients ` +
          'behind a proxy count as one. Set TRUST_PROXY to the address of the proxy.'
      )
    }
    done()
  })
})
