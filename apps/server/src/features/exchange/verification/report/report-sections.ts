/** The sections of a report as plain tables, which HTML and PDF draw alike. */
import type { Report } from './gather-report.ts';

export interface ReportSection {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** A sentence below the table. */
  readonly note?: string;
}

const bytes = (count: number): string => {
  if (count < 1024) return `${count} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = count;
  let unit = 'B';
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value.toFixed(1)} ${unit}`;
};

const words = (name: string): string => name.replaceAll(/([A-Z])/g, ' $1').toLowerCase();

const optionRows = (report: Report): readonly (readonly string[])[] => {
  const { annotations, selection, controlNumbers, sourceCaseId: _s, destinationCaseId: _d, ...plain } = report.options;
  return [
    ['selection', JSON.stringify(selection).slice(0, 300)],
    ['control numbers', JSON.stringify(controlNumbers)],
    ...Object.entries(plain).map(([name, value]) => [words(name), String(value)]),
    ...Object.entries(annotations).map(([name, value]) => [words(name), value.replace('_', ' ')]),
  ];
};

/** What an operator is asked first, first. */
export const reportSections = (report: Report): readonly ReportSection[] => {
  const { summary } = report;
  const counts = summary?.counts;
  return [
    {
      title: 'Exchange',
      columns: ['', ''],
      rows: [
        ['job', report.jobId],
        ['from case', String(report.sourceCaseId)],
        ['to case', `${report.destinationCaseId}, batch ${report.batchId}`],
        ['operator', report.operator],
        ['started', report.startedAt],
        ['verified', report.verifiedAt],
        ['outcome', summary?.state ?? 'The manifest has no summary.'],
      ],
    },
    {
      title: 'Counts',
      columns: ['', ''],
      rows:
        counts === undefined
          ? []
          : [
              ['exhibits', String(counts.items)],
              ['inserted / overlaid', `${counts.inserted} / ${counts.overlaid}`],
              ['skipped / duplicates / missing', `${counts.skipped} / ${counts.duplicates} / ${counts.missing}`],
              ['with exceptions', `${counts.failed} (${counts.exceptions} exceptions)`],
              ['objects', `${counts.objects}, ${bytes(counts.bytes)}`],
              ['redactions burned in and proved', String(counts.redactionsVerified)],
              ['redactions travelling as marks', String(counts.redactionsUnapplied)],
              ['differences of records', String(summary?.comparison.differences ?? 0)],
            ],
    },
    {
      title: 'Records by resource',
      columns: ['resource', 'records'],
      rows: Object.entries(summary?.records ?? {}).map(([name, count]) => [name, String(count)]),
    },
    {
      title: 'Annotations by kind',
      columns: ['kind', 'in the source', 'in the destination'],
      rows: Object.entries(report.annotations).map(([kind, both]) => [
        kind.replaceAll('_', ' '),
        String(both.source),
        String(both.destination),
      ]),
    },
    {
      title: 'Exceptions',
      columns: ['line', 'exhibit', 'stage', 'code', 'reason'],
      rows: report.exceptions.map((one) => [String(one.line), one.controlNumber, one.stage, one.code, one.reason]),
      note:
        report.byCode.length === 0
          ? 'There are none.'
          : report.byCode.map(({ code, count }) => `${count} ${code}`).join(', '),
    },
    { title: 'Options', columns: ['', ''], rows: optionRows(report) },
    {
      title: 'Exhibits',
      columns: ['line', 'from', 'to', 'what', 'objects', 'size', 'pages', 'redactions', 'exceptions'],
      rows: report.items.map((one) => [
        String(one.line),
        one.from,
        one.to,
        one.action,
        String(one.objects),
        bytes(one.bytes),
        String(one.pages),
        String(one.redactions),
        String(one.exceptions),
      ]),
      ...(report.itemsInAll > report.items.length
        ? { note: `The first ${report.items.length} of ${report.itemsInAll}; the manifest has all.` }
        : {}),
    },
    {
      title: 'Signature',
      columns: ['', ''],
      rows: [
        ['manifest', report.digest ?? 'unsigned'],
        ['Ed25519 public key', report.publicKey ?? ''],
        ['signature', report.signature ?? ''],
      ],
      note: `Check it, and the destination, with: casebound exchange verify ${report.jobId}`,
    },
  ];
};
