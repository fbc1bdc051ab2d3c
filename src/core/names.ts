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
