-- Search in any script and notation. Stored text and the words of a search have one normal form, and Postgres computes
-- both. PL/pgSQL compiles these functions once per session; SQL functions would be planned in each statement, which costs
-- more than an insert. They have a search_path of their own because a restore and a new index run with an empty one.

-- The normal form of a text: lower-case, without accents and other optional marks (vowel points, tatweel, nukta) and
-- invisible characters, with the digits 0 to 9, and one form of the letters that have several. ASCII and Latin letters
-- need little of that.
CREATE OR REPLACE FUNCTION search_normal(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
BEGIN
  IF octet_length(value) = char_length(value) THEN
    RETURN lower(value);
  END IF;
  IF value ~ '[^\u0001-\u00ac\u00ae-\u024f]' THEN
    value := normalize(value, NFKD);
    IF value ~
      '[\u0660-\u0669\u06f0-\u06f9\u0966-\u096f\u09e6-\u09ef\u0a66-\u0a6f\u0ae6-\u0aef\u0b66-\u0b6f\u0be6-\u0bef'
      '\u0c66-\u0c6f\u0ce6-\u0cef\u0d66-\u0d6f\u0e50-\u0e59\u0ed0-\u0ed9\u0f20-\u0f29\u1040-\u1049\u17e0-\u17e9'
      '\u1810-\u1819\u0649\u0671\u06a9\u06c1\u06cc\u06d5\u0629]'
    THEN
      value := translate(value, U&'\0649\06cc\0671\06a9\0629\06c1\06d5', U&'\064a\064a\0627\0643\0647\0647\0647');
      value := translate(value,
        '٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९০১২৩৪৫৬৭৮৯੦੧੨੩੪੫੬੭੮੯'
        '૦૧૨૩૪૫૬૭૮૯୦୧୨୩୪୫୬୭୮୯௦௧௨௩௪௫௬௭௮௯౦౧౨౩౪౫౬౭౮౯೦೧೨೩೪೫೬೭೮೯'
        '൦൧൨൩൪൫൬൭൮൯๐๑๒๓๔๕๖๗๘๙໐໑໒໓໔໕໖໗໘໙༠༡༢༣༤༥༦༧༨༩၀၁၂၃၄၅၆၇၈၉'
        '០១២៣៤៥៦៧៨៩᠐᠑᠒᠓᠔᠕᠖᠗᠘᠙',
        repeat('0123456789', 17));
    END IF;
    value := regexp_replace(value,
      '[\u00ad\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u061c\u0640'
      '\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u08d3-\u08ff\u093c\u09bc\u0a3c\u0abc\u0b3c'
      '\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]+', '', 'g');
    -- composed again: the marks of Japanese and the parts of Korean syllables are not optional
    value := normalize(value, NFC);
  END IF;
  RETURN replace(lower(unaccent('unaccent'::regdictionary, value)), 'ς', 'σ');
END $$;
--> statement-breakpoint
-- The words of a text in their normal form, with one space for whatever is between them. Each character of a script
-- that has no spaces between words is a word: in such scripts a search begins anywhere, and the trigram index, which
-- needs three characters within a word or the beginning of one, serves it too.
CREATE FUNCTION search_words(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
BEGIN
  value := search_normal(value);
  -- names, email addresses and plain numbers: a regular expression that replaces costs five times as much
  IF value !~ '[^a-z0-9 .@+-]|[ .@+-]{5}' THEN
    value := replace(replace(replace(replace(value, '.', ' '), '@', ' '), '+', ' '), '-', ' ');
    RETURN replace(replace(value, '  ', ' '), '  ', ' ');
  END IF;
  IF octet_length(value) > char_length(value) THEN
    value := regexp_replace(value,
      '([\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30fa\u30fc-\u31ff\u3400-\u4dbf\u4e00-\u9fff'
      '\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff])', ' \1 ', 'g');
  END IF;
  RETURN regexp_replace(value,
    '[\u0001-\u002f\u003a-\u0060\u007b-\u00b4\u00b6-\u00bf\u00d7\u00f7\u055a-\u055f\u0589\u058a\u05be\u05c0\u05c3\u05c6'
    '\u05f3\u05f4\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965\u1361-\u1368\u2000-\u206f\u3000-\u3003'
    '\u3008-\u303f\u30fb]+', ' ', 'g');
END $$;
--> statement-breakpoint
-- The text of a record that is searched: its words between spaces. Words with an apostrophe are in it with and without:
-- "L'Aquila" is found by "aquila" and by "laquila".
CREATE OR REPLACE FUNCTION search_text(VARIADIC parts text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
  apostrophes constant text := '''`´‘’ʹʻʼ׳′＇';
  -- columns may have collations of their own
  value constant text COLLATE "default" := ' ' || array_to_string(parts, ' ') || ' ';
BEGIN
  IF value !~ ('[' || apostrophes || ']') THEN
    RETURN search_words(value);
  END IF;
  RETURN search_words(value) || ltrim(search_words(translate(value, apostrophes, '')));
END $$;
--> statement-breakpoint
-- The digits of a phone number as one word, without zeros at the beginning and "(0)"; null if it is that word already.
CREATE FUNCTION search_phone(phone text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
BEGIN
  IF phone COLLATE "default" ~ '^[+]?[1-9][0-9]*$' THEN
    RETURN NULL;
  END IF;
  RETURN ltrim(regexp_replace(replace(search_normal(phone COLLATE "default"), '(0)', ''), '[^0-9]+', '', 'g'), '0');
END $$;
--> statement-breakpoint
-- The LIKE pattern of a word, or of several that follow each other: a part of them; below three characters, which is
-- less than a trigram, the beginning of a word. Null, which matches nothing, for text without a letter or digit. The
-- normal form has none of the characters that LIKE gives a meaning to.
CREATE OR REPLACE FUNCTION search_pattern(word text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
  words constant text := search_words(translate(word, '''`´‘’ʹʻʼ׳′＇', ''));
BEGIN
  IF btrim(words) = '' THEN
    RETURN NULL;
  END IF;
  RETURN CASE WHEN words ~ '^\S{1,2} ?$' THEN '% ' ELSE '%' END || words || '%';
END $$;
--> statement-breakpoint
ALTER TABLE "contacts" ADD COLUMN "assigned_to" bigint;
--> statement-breakpoint
ALTER TABLE "contacts" ADD CONSTRAINT "contacts_assigned_to_reference" FOREIGN KEY ("organization_id","assigned_to") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;
--> statement-breakpoint
CREATE INDEX "idx_contacts_assigned_to" ON "contacts" USING btree ("organization_id","assigned_to","id") WHERE "contacts"."deleted_at" is null;
--> statement-breakpoint
-- The text of all records that are searched is generated again, each table in one pass.
DO $$
DECLARE
  -- what has other columns from now on
  expressions constant jsonb := '{
    "accounts": "search_text(name, website, email, phone, city, search_phone(phone))",
    "contacts": "search_text(last_name, first_name, last_name, email, phone, company, search_phone(phone))"}';
  generated record;
BEGIN
  FOR generated IN
    SELECT c.relname AS name, pg_get_expr(d.adbin, d.adrelid) AS expression,
      pg_get_indexdef(i.indexrelid) AS index
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
    JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    JOIN pg_index i ON i.indrelid = c.oid AND a.attnum = ANY (i.indkey)
    WHERE a.attname = 'search_text' AND a.attgenerated = 's' AND NOT a.attisdropped
    ORDER BY c.relname
  LOOP
    EXECUTE format('ALTER TABLE %I DROP COLUMN search_text,
      ADD COLUMN search_text text GENERATED ALWAYS AS (%s) STORED NOT NULL',
      generated.name, coalesce(expressions ->> generated.name, generated.expression));
    EXECUTE generated.index;
  END LOOP;
END $$;
