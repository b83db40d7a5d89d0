import { describe, expect, it } from 'vitest';
import { DelimitedReader } from '../delimited/open-delimited.ts';
import { ColumnProfiler } from '../profile/profile-column.ts';
import { coreFields, createCoreFieldIndex, isCoreField, normalizeColumnName } from './core-fields.ts';
import { proposeMapping } from './propose-mapping.ts';

const propose = async (text: string) => {
  const reader = await DelimitedReader.open([Buffer.from(text)], { header: true });
  const profiler = new ColumnProfiler(reader.columns, ';');
  for await (const row of reader.rows()) profiler.add(row);
  return proposeMapping(profiler.profiles());
};

const targets = async (text: string) =>
  (await propose(text)).map((mapping) => (mapping.target === 'core' ? mapping.field : mapping.type));

describe('the alias table', () => {
  it('gives no name to two fields', () => {
    const owners = new Map<string, Set<string>>();
    for (const [field, { names }] of Object.entries(coreFields)) {
      for (const name of [field, ...names]) {
        const key = normalizeColumnName(name);
        expect(key).not.toBe('');
        owners.set(key, (owners.get(key) ?? new Set()).add(field));
      }
    }
    expect([...owners].filter(([, fields]) => fields.size > 1).map(([name, fields]) => [name, ...fields])).toEqual([]);
    expect(owners.size).toBeGreaterThan(500);
  });

  it.each([
    ['BEGDOC#', 'controlNumber'],
    ['Beg_Bates', 'controlNumber'],
    ['Production::Begin Bates', 'controlNumber'],
    ['END BATES', 'controlNumberEnd'],
    ['BegAttach', 'attachmentBegin'],
    ['FAMLYRNG', 'familyRange'],
    ['ATTCHIDS', 'attachmentIds'],
    ['All Custodians', 'allCustodians'],
    ['E-Mail From', 'from'],
    ['DATE_SENT', 'dateSent'],
    ['Time Rcvd', 'timeReceived'],
    ['NATIVELINK', 'nativePath'],
    ['OCRPATH', 'textPath'],
    ['MD5 Hash', 'md5Hash'],
    ['SHA-256', 'sha256Hash'],
    ['nonsense', undefined],
  ])('%s is %s', (name, field) => {
    expect(createCoreFieldIndex()(name)).toBe(field);
    expect(isCoreField('toString')).toBe(false);
  });
});

describe('the proposal', () => {
  it('goes by name and by what a column holds', async () => {
    const text = [
      'BEGDOC,FILEPATH,Extracted Text,HASH,Reviewed,Score,Topics,Seen',
      'A1,.\\VOL1\\NATIVES\\1.doc,TEXT\\1.txt,da39a3ee5e6b4b0d3255bfef95601890afd80709,Yes,1.5,a;b,1/14/2020',
      'A2,.\\VOL1\\NATIVES\\2.doc,TEXT\\2.txt,da39a3ee5e6b4b0d3255bfef95601890afd80708,No,2,b;c,1/15/2020',
      '',
    ].join('\n');
    expect(await targets(text)).toEqual([
      'controlNumber',
      'nativePath',
      'textPath',
      'sha1Hash',
      'yes-no',
      'number',
      'multi-choice',
      'date',
    ]);
    expect(await targets('BEGDOC,FILEPATH\nA1,C:\\Users\\jane\\a.doc\n')).toEqual(['controlNumber', 'originalPath']);
  });

  it('maps one column to a field: the better name, unless it is empty', async () => {
    expect(await targets('DOCID,BEGDOC\nX1,A1\n')).toEqual(['text', 'controlNumber']);
    expect(await targets('DOCID,BEGDOC\nX1,\n')).toEqual(['controlNumber', 'text']);
    expect(await targets('FILEPATH,NATIVELINK\n.\\NATIVES\\1.doc,.\\NATIVES\\1.doc\n')).toEqual(['text', 'nativePath']);
  });

  it('warns where values do not fit the name, or their meaning is open', async () => {
    const warnings = (await propose('BEGDOC,FILESIZE,DATESENT\nA1,12 KB,1/2/2020\nA2,5 KB,3/4/2020\n')).map(
      ({ warning }) => warning,
    );
    expect(warnings).toEqual([
      null,
      'Values are text, not integer.',
      'The order of day and month is ambiguous; the mapping must state it.',
    ]);
  });
});
