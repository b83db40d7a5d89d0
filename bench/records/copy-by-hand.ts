/** The limit of the record copy: INSERT ... SELECT written by hand for the case model, over an id map that is there already. */
import type pg from 'pg';

/** Makes the id map and the order in which documents are inserted; not part of what is timed. */
export const makeIdMap = async (pool: pg.Pool, destination: string): Promise<void> => {
  await pool.query(`DROP TABLE IF EXISTS public.idmap;
    CREATE TABLE public.idmap AS SELECT d.document_id AS source_id, nextval('${destination}.document_document_id_seq') AS own_id
      FROM (SELECT document_id FROM source.document ORDER BY resource_key_id, document_id) d;
    ALTER TABLE public.idmap ADD PRIMARY KEY (source_id);
    ANALYZE public.idmap`);
  target = destination;
};
let target = 'hand';

const m = (alias: string, column: string): string =>
  `LEFT JOIN public.idmap ${alias} ON ${alias}.source_id = ${column}`;

/** All tables in one transaction on one connection; `shared`: only what is not copied per exhibit. */
export const copyByHand = async (pool: pg.Pool, what: 'all' | 'shared' = 'all'): Promise<void> => {
  const client = await pool.connect();
  const some =
    what === 'all'
      ? ''
      : `AND d.resource_key_id NOT IN (SELECT resource_key_id FROM source.resource_key WHERE resource_name IN ('Exhibit', 'Document'))`;
  const plain = (table: string, columns: string, from: string): string =>
    `INSERT INTO ${target}.${table} (${columns}) SELECT ${from}`;
  const statements = [
    plain(
      'document',
      'document_id, document_uuid, resource_key_id',
      `i.own_id, gen_random_uuid(), d.resource_key_id FROM public.idmap i JOIN source.document d ON d.document_id = i.source_id ${some} ORDER BY 1`,
    ),
    plain(
      'referential_identity',
      'referential_id, document_id, resource_key_id',
      `r.referential_id, i.own_id, r.resource_key_id FROM source.referential_identity r JOIN source.document d USING (document_id) JOIN public.idmap i ON i.source_id = r.document_id WHERE true ${some}`,
    ),
    plain(
      'batch',
      'document_id, name, kind, job_id, source, started_at, created_by',
      `i.own_id, name, kind, job_id, source, started_at, created_by FROM source.batch t JOIN public.idmap i ON i.source_id = t.document_id`,
    ),
    plain(
      'custodian',
      'document_id, name, organisation, email, notes',
      `i.own_id, name, organisation, email, notes FROM source.custodian t JOIN public.idmap i ON i.source_id = t.document_id`,
    ),
    plain(
      'label_category',
      'document_id, category_name, is_exclusive, color',
      `i.own_id, category_name, is_exclusive, color FROM source.label_category t JOIN public.idmap i ON i.source_id = t.document_id`,
    ),
    plain(
      'label',
      'document_id, label_category_document_id, name, description, color',
      `i.own_id, c.own_id, name, description, color FROM source.label t JOIN public.idmap i ON i.source_id = t.document_id ${m('c', 't.label_category_document_id')}`,
    ),
    plain(
      'folder_tag',
      'document_id, path, parent_folder_document_id',
      `i.own_id, path, c.own_id FROM source.folder_tag t JOIN public.idmap i ON i.source_id = t.document_id ${m('c', 't.parent_folder_document_id')}`,
    ),
    plain(
      'reference_edge',
      'parent_document_id, child_document_id, is_identity_component',
      `p.own_id, c.own_id, e.is_identity_component FROM source.reference_edge e JOIN source.document d ON d.document_id = e.parent_document_id JOIN public.idmap p ON p.source_id = e.parent_document_id JOIN public.idmap c ON c.source_id = e.child_document_id WHERE true ${some}`,
    ),
    ...(what === 'shared' ? [] : perExhibit(plain)),
  ];
  try {
    await client.query('BEGIN');
    for (const statement of statements) await client.query(statement);
    await client.query('COMMIT');
  } finally {
    client.release();
  }
};

const documentColumns =
  'document_key, file_name, file_extension, source_path, mime_type, file_type, file_size, md5_hash, sha1_hash, sha256_hash, title, author, last_saved_by, date_created, date_modified, date_accessed, date_printed, document_date, time_zone, language, volume, source, page_count, attachment_count, attachment_names, message_id, message_id_hash, in_reply_to, "references", conversation_index, thread_id, "from", "to", cc, bcc, participants, subject, importance, sensitivity, date_sent, date_received, meeting_start, meeting_end';
const variantColumns = 'variants_ordinal, type, position, object_key, size, sha256, mime_type, file_name';
const pageColumns = 'pages_ordinal, bates_number, width, height, rotation, text_source, text_size, text_sha256';
const exhibitColumns =
  'control_number, control_number_end, number, relevancy, privilege, confidentiality_status, redacted, notes';

const perExhibit = (plain: (table: string, columns: string, from: string) => string): readonly string[] => [
  plain(
    'source_document',
    `document_id, family_root_document_id, ${documentColumns}`,
    `i.own_id, f.own_id, ${documentColumns} FROM source.source_document t JOIN public.idmap i ON i.source_id = t.document_id ${m('f', 't.family_root_document_id')}`,
  ),
  plain(
    'source_document__all_paths',
    'root_document_id, all_paths_ordinal, value',
    `i.own_id, all_paths_ordinal, value FROM source.source_document__all_paths t JOIN public.idmap i ON i.source_id = t.root_document_id`,
  ),
  plain(
    'source_document__variants',
    `root_document_id, ${variantColumns}`,
    `i.own_id, ${variantColumns} FROM source.source_document__variants t JOIN public.idmap i ON i.source_id = t.root_document_id`,
  ),
  plain(
    'exhibit',
    `document_id, document_document_id, batch_document_id, parent_exhibit_document_id, family_document_id, ${exhibitColumns}`,
    `i.own_id, a.own_id, b.own_id, p.own_id, f.own_id, ${exhibitColumns} FROM source.exhibit t JOIN public.idmap i ON i.source_id = t.document_id ${m('a', 't.document_document_id')} ${m('b', 't.batch_document_id')} ${m('p', 't.parent_exhibit_document_id')} ${m('f', 't.family_document_id')}`,
  ),
  ...[
    ['custodians', 'custodian', ', is_primary'],
    ['labels', 'label', ''],
    ['folders', 'folder_tag', ''],
  ].map(([collection = '', target_ = '', rest = '']) =>
    plain(
      `exhibit__${collection}`,
      `root_document_id, ${collection}_ordinal, ${target_}_document_id${rest}`,
      `i.own_id, ${collection}_ordinal, c.own_id${rest} FROM source.exhibit__${collection} t JOIN public.idmap i ON i.source_id = t.root_document_id ${m('c', `t.${target_}_document_id`)}`,
    ),
  ),
  plain(
    'exhibit__pages',
    `root_document_id, ${pageColumns}`,
    `i.own_id, ${pageColumns} FROM source.exhibit__pages t JOIN public.idmap i ON i.source_id = t.root_document_id`,
  ),
];
