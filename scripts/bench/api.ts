// The server as `npm start` runs it, with a probe of its resource usage.
import './probe.ts'
import '../../src/main.ts'
