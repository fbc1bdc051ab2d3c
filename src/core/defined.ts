type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** The properties of an object that are not undefined. */
export const defined = <T extends object>(object: T): Defined<T> =>
  Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined)
  ) as Defined<T>
