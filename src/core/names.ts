/** Characters that nobody sees: zero-width ones, controls of direction, fillers, blank Braille. */
const invisible = /[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u2800]/gu

/** The one form of a name that looks the same however it was typed; empty if it is all blank. */
export const cleanName = (name: string) => name.normalize('NFC').replaceAll(invisible, '').trim()

/** `campaign_member` or `campaign member` as part of a name: `CampaignMember`. */
export const pascalCase = (words: string) =>
  words.replaceAll(/(?:^|[ _])(\w)/g, (_, letter: string) => letter.toUpperCase())

/** `campaign_member` as words: `campaign member`. */
export const words = (name: string) => name.replaceAll('_', ' ').replace(/\bapi\b/, 'API')

/** `campaign_members` in a URL: `campaign-members`. */
export const kebabCase = (name: string) => name.replaceAll('_', '-')

/** `call planned` as the beginning of a sentence: `Call planned`. */
export const sentenceCase = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

/** `a lead`, `an account`; `a user`, which is pronounced with a consonant. */
export const withArticle = (noun: string) => `${/^(?!u)[aeiouA]/.test(noun) ? 'an' : 'a'} ${noun}`
