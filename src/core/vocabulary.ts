/** Every `code` of a problem and its meaning. Served at `/api/problems`. */
export const vocabulary = {
  malformed: 'The request could not be parsed: invalid JSON, an invalid URL or an invalid header.',
  invalid: 'Parts of the request are invalid; `errors` lists each of them.',
  unauthenticated: 'The token is missing, or the username or password is incorrect. Log in.',
  token_expired:
    'The access token has expired. Refresh the session (`POST /api/auth/refresh`) and retry.',
  token_invalid: 'The token was not issued by this service, or was altered. Log in again.',
  session_ended:
    'The session has ended because of a logout, a password change, a disabled or deleted user, ' +
    'a reused refresh token, too many days without a refresh or since the login (30 and 90, ' +
    'unless the organization has set others). Log in again.',
  forbidden: "The user's roles do not allow this.",
  second_factor_required:
    'The password is correct, and the user has a second factor. Send a code of the app, or a ' +
    'recovery code, as `code`.',
  second_factor_invalid:
    '`code` is incorrect or was used before. Use the next one of the app, or a recovery code.',
  second_factor_enrollment_required:
    'The organization requires a second factor. Enroll one (`POST /api/auth/second-factor`); ' +
    'until it is confirmed, only operations below `/api/auth` are allowed.',
  step_up_required:
    'This requires a login or a step-up (`POST /api/auth/step-up`) within the last ten minutes.',
  not_found:
    'The resource does not exist, belongs to another organization, or is out of the reach of the ' +
    "user's roles.",
  method_not_allowed:
    'The path does not support this method; `Allow` lists the methods that it supports.',
  not_acceptable: 'None of the formats in `Accept` is supported.',
  timeout: 'The request was not received in time.',
  conflict: 'The state of the record does not allow this.',
  duplicate: 'Another record already has this value, which must be unique.',
  impossible_move:
    'The record cannot make this transition from its current state; `allowed` lists the ones ' +
    'that it can make.',
  sign_in_enforced:
    'The organization requires a sign-in by its identity provider; the password was correct. See ' +
    '`GET /api/auth/sign-in/{organization}`.',
  organization_required:
    'The login is that of a user in several organizations; `organizations` lists them. Send one ' +
    'as `organization`.',
  likely_duplicate:
    'Similar records exist; `matches` lists them. Use one of them, or send ' +
    '`Prefer: handling=lenient` to proceed.',
  ambiguous_match:
    'More than one record matches; `matches` lists them. Use one of them by its ID, or match by ' +
    'what only one of them has.',
  deleted_match:
    'The only record that matches is deleted; `matches` has it. Send `on_deleted=restore` or ' +
    '`on_deleted=create`.',
  changed_since:
    'What is to be undone has changed since, or cannot go back for another reason; `left` lists ' +
    'it. Nothing was changed. Without `strict=true`, an undo leaves it and undoes the rest.',
  unexpected_count:
    'The filter matches `count` records instead of `expected_count`. Nothing was changed.',
  cursor_expired:
    'The feed does not continue from the cursor: the database was restored to an earlier state, ' +
    'or the cursor is of another organization. Read the records again, then the feed from the ' +
    'cursor of that moment.',
  stale: 'The record has changed since it was read; `ETag` contains its current version.',
  idempotency_in_progress:
    'A request with the same `Idempotency-Key` is in progress. Retry after `Retry-After` seconds.',
  idempotency_key_reused:
    'The `Idempotency-Key` was used for another request within 24 hours. Use a new key for each ' +
    'request, and the same one to repeat it.',
  plan_stale:
    'The effects are no longer those of the plan, or it has expired; `effects` lists those that ' +
    'are not in it. Nothing was changed: make a new plan with `Prefer: dry-run`.',
  plan_required:
    'The API token must show first what it will delete or change: send `Prefer: dry-run`, then ' +
    'the `Plan` of the response as `If-Plan`.',
  batch_rejected:
    'Some operations of the batch failed, so nothing was done; `errors` lists what is wrong, and ' +
    '`results` has all of them.',
  failed_dependency:
    'The operation was not carried out because another one failed: one whose record it refers ' +
    'to, or any of an atomic batch.',
  too_large: 'The body is larger than the limit.',
  uri_too_long: 'The path or one of its segments is longer than the limit.',
  unsupported_media_type: 'The format of the body is not supported; send application/json.',
  range_not_satisfiable: '`Range` begins after the end of the file; `Content-Range` has its size.',
  unknown_reference:
    'The request refers to a record that does not exist in this organization, or to a user who ' +
    'is disabled.',
  rule_broken: 'The request is valid but violates a rule of the CRM.',
  too_many_requests: 'Too many requests; `Retry-After` is the number of seconds to wait.',
  headers_too_large: 'The header fields are larger than the limit.',
  internal: 'Internal error. It has been logged with the request ID.',
  unavailable:
    'The service or its database is unavailable; `Retry-After` is the number of seconds to wait.'
} as const
