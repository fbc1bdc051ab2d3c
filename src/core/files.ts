import { createHash, randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** A file that was written: its name, its size in bytes, and its SHA-256 in hexadecimal. */
export interface WrittenFile {
  name: string
  bytes: number
  sha256: string
}

/** Milliseconds after which a file that nobody names belongs to no one, who may still write it. */
const abandonment = 600_000

/**
 * Files of organizations, in a folder of each below `root`, which processes that share a database
 * share. Nothing is created before the first one is written.
 */
export class Files {
  readonly #root: string

  constructor(root: string) {
    this.#root = path.resolve(root)
  }

  /** Where the file with this name is. */
  pathOf(organization_id: number, name: string): string {
    return path.join(this.#folderOf(organization_id), name)
  }

  #folderOf(organization_id: number): string {
    return path.join(this.#root, String(organization_id))
  }

  /**
   * Writes a file with a random name that ends like `extension`. It is there when it is complete,
   * and on the disk; what fails, or is aborted by `signal`, leaves none. Errors: those of `chunks`,
   * of `signal`, and of the file system.
   */
  async write(
    organization_id: number,
    extension: string,
    chunks: AsyncIterable<string | Uint8Array>,
    signal?: AbortSignal
  ): Promise<WrittenFile> {
    const folder = this.#folderOf(organization_id)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const name = `${randomBytes(16).toString('hex')}.${extension}`
    const file = path.join(folder, name)
    const partial = `${file}.part`
    const hash = createHash('sha256')
    let bytes = 0
    async function* hashed() {
      for await (const chunk of chunks) {
        const data = Buffer.from(chunk as string)
        hash.update(data)
        bytes += data.length
        yield data
      }
    }
    try {
      const target = createWriteStream(partial, { flags: 'wx', mode: 0o600, flush: true })
      await pipeline(Readable.from(hashed()), target, { ...(signal && { signal }) })
      await rename(partial, file)
      await sync(folder) // or the name could be lost
    } catch (error) {
      await rm(partial, { force: true })
      throw error
    }
    return { name, bytes, sha256: hash.digest('hex') }
  }

  /** Removes a file, if it is there. */
  async remove(organization_id: number, name: string): Promise<void> {
    await rm(this.pathOf(organization_id, name), { force: true })
  }

  /**
   * Removes the files that nobody wrote to for ten minutes and that `named` does not return: it
   * gets names, and returns those that are in use.
   */
  async removeOrphans(named: (names: string[]) => Promise<string[]>): Promise<void> {
    for (const folder of await namesIn(this.#root)) {
      const old: string[] = []
      for (const name of await namesIn(path.join(this.#root, folder)))
        if (await isOld(path.join(this.#root, folder, name))) old.push(name)
      const used = new Set(old.length === 0 ? [] : await named(old))
      for (const name of old.filter(name => !used.has(name)))
        await rm(path.join(this.#root, folder, name), { force: true })
    }
  }
}

/** What is in a folder; nothing if there is none. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Another process may have removed it. */
async function isOld(file: string): Promise<boolean> {
  const { mtimeMs } = (await stat(file).catch(() => undefined)) ?? {}
  return mtimeMs !== undefined && Date.now() - mtimeMs > abandonment
}

async function sync(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
