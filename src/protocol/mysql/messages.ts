// The few messages we read or write, in one place to import from: numbers, logins, answers, commands.

export * from './commands.ts'
export { FieldReader, FieldWriter, lengthEncoded, MalformedMessage } from './fields.ts'
export * from './login-messages.ts'
export * from './numbers.ts'
export * from './ok.ts'
export * from './results.ts'
