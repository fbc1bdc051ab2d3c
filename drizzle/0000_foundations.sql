-- What the tables need before they can be made: trigram search, accents, and integers beside text in one GIN index.
-- All three extensions are "trusted": the owner of a database may install them.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
--> statement-breakpoint
CREATE EXTENSION IF NOT EXISTS unaccent;
--> statement-breakpoint
CREATE EXTENSION IF NOT EXISTS btree_gin;
--> statement-breakpoint
-- unaccent() is only STABLE because somebody could swap its dictionary; naming the dictionary makes the promise ours.
CREATE FUNCTION search_normal(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN lower(unaccent('unaccent'::regdictionary, value));
--> statement-breakpoint
-- The text of a record that is searched. The leading space marks where its first word begins.
CREATE FUNCTION search_text(VARIADIC parts text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN ' ' || search_normal(array_to_string(parts, ' '));
--> statement-breakpoint
-- The LIKE pattern of one word of a search: a part of a word; below three characters, which is less than a trigram,
-- the beginning of one.
CREATE FUNCTION search_pattern(word text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN CASE WHEN char_length(search_normal(word)) < 3 THEN '% ' ELSE '%' END
    || regexp_replace(search_normal(word), '([\\%_])', '\\\1', 'g') || '%';
