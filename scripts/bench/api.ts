// The server as `npm start` runs it, in a process that can be asked what it uses.
import './probe.ts'
import '../../src/main.ts'
