// Folders that only one user can enter, named after the process that made them.
import fs from 'node:fs'
import path from 'node:path'
import { inspect } from './processes.ts'

/** The user that owns the data, by numbers. */
export interface User {
  uid: number
  gid: number
}

/**
 * A folder that nobody else can have made and only the user can enter. Its name tells by which
 * process it was made.
 */
export function createPrivateFolder(prefix: string, user: User | undefined): string {
  const folder = fs.mkdtempSync(`${prefix}${process.pid}-`)
  if (user) fs.lchownSync(folder, user.uid, user.gid)
  return folder
}

/**
 * Removes the private folders of processes that were killed. What cannot go, because it is still
 * being left, goes next time.
 */
export function removeLeftFolders(prefix: string, user: User | undefined): void {
  const { dir, base } = path.parse(prefix)
  try {
    for (const name of fs.readdirSync(dir)) {
      const maker = name.startsWith(base) && /^(\d+)-\w{6}$/.exec(name.slice(base.length))?.[1]
      const is_left =
        maker &&
        !inspect(Number(maker)) &&
        fs.lstatSync(path.join(dir, name)).uid === (user?.uid ?? process.getuid?.())
      if (is_left) fs.rmSync(path.join(dir, name), { recursive: true, force: true })
    }
  } catch {
    /* it takes up some room, no more */
  }
}
