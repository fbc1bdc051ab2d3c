import t from 'tap'
import { decrypt, encrypt } from '../../../src/core/access/encryption.ts'

const key = 'a key for one purpose'
const text = 'JBSWY3DPEHPK3PXP €'

t.test('what was encrypted is decrypted, and looks different each time', async t => {
  const first = encrypt(key, text, '1/user/2')
  const second = encrypt(key, text, '1/user/2')
  t.not(first, second)
  t.notMatch(first, text)
  t.equal(decrypt(key, first, '1/user/2'), text)
  t.equal(decrypt(key, second, '1/user/2'), text)
  t.equal(decrypt(key, encrypt(key, '', 'x'), 'x'), '')
})

t.test('another key, another row and changed text are refused', async t => {
  const encrypted = encrypt(key, text, '1/user/2')
  t.throws(() => decrypt('another key', encrypted, '1/user/2'))
  t.throws(() => decrypt(key, encrypted, '1/user/3'))
  for (const position of [0, 20, encrypted.length - 3]) {
    const other = encrypted[position] === 'A' ? 'B' : 'A'
    const changed = encrypted.slice(0, position) + other + encrypted.slice(position + 1)
    t.throws(() => decrypt(key, changed, '1/user/2'), `changed at ${position}`)
  }
  t.throws(() => decrypt(key, '', '1/user/2'))
})
