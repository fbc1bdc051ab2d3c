// Runs the tests with the arguments of tap: npm test -- test/modules/crm/tags.test.ts --bail
import { spawn } from 'node:child_process'
import { startCluster } from './test/cluster.ts'
import { startRedis } from './test/redis.ts'

const args = process.argv.slice(2)
// files that run side by side are reported when they are complete, which a bail-out prevents
if (args.some(arg => arg === '--bail' || arg === '-b')) args.push('--jobs=1')

const cluster = await startCluster()
const redis = await startRedis()

const tap = spawn('tap', args, {
  stdio: 'inherit',
  env: {
    ...process.env,
    NODE_COMPILE_CACHE: 'node_modules/.cache/smartx-test',
    // tap strips types by a function that Node calls experimental
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --disable-warning=ExperimentalWarning`,
    TEST_POSTGRES_URL: cluster.url,
    TEST_TEMPLATE: cluster.template,
    ...(redis && { TEST_REDIS_URL: redis.url })
  }
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    tap.kill(signal)
  })
const code = await new Promise<number>(resolve => {
  tap.on('close', status => {
    resolve(status ?? 1)
  })
})

redis?.stop()
await cluster.stop()
process.exit(code)
