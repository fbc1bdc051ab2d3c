// The server as `npm start` runs it, with a probe of what it uses.
import './probe.ts'
import '../../src/main.ts'
