// Folders, most of them for one user only and named after the process that created them.
import fs from 'node:fs'
import path from 'node:path'
import { inspect, tolerating } from './processes.ts'

/** The user that owns the data. */
export interface User {
  uid: number
  gid: number
}

/**
 * Creates a folder with its parents, if it is missing. Not by the `recursive` of Node, which never
 * returns where a parent exists and takes no folders, such as /proc or a link to nothing.
 */
export function createFolder(folder: string): void {
  if (fs.existsSync(folder)) return
  createFolder(path.dirname(folder))
  tolerating(['EEXIST'], () => {
    fs.mkdirSync(folder)
  })
}

/** Creates a folder that only the user can enter; its name has the ID of this process. */
export function createPrivateFolder(prefix: string, user: User | undefined): string {
  const folder = fs.mkdtempSync(`${prefix}${process.pid}-`)
  if (user) fs.lchownSync(folder, user.uid, user.gid)
  return folder
}

/** Removes the private folders of killed processes. One that is still in use goes next time. */
export function removeOrphanedFolders(prefix: string, user: User | undefined): void {
  const { dir, base } = path.parse(prefix)
  try {
    for (const name of fs.readdirSync(dir)) {
      const creator = name.startsWith(base) && /^(\d+)-\w{6}$/.exec(name.slice(base.length))?.[1]
      const is_orphaned =
        creator &&
        !inspect(Number(creator)) &&
        fs.lstatSync(path.join(dir, name)).uid === (user?.uid ?? process.getuid?.())
      if (is_orphaned) fs.rmSync(path.join(dir, name), { recursive: true, force: true })
    }
  } catch {
    /* it costs some space, nothing else */
  }
}
