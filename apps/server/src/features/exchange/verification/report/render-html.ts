/** A report as one HTML page: no scripts, nothing loaded, every value escaped. */
import type { Report } from './gather-report.ts';
import { reportSections, type ReportSection } from './report-sections.ts';

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (it) => escapes[it] ?? it);

const style = `body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c2230}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid #cbd2dd}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top;overflow-wrap:anywhere}
th{color:#586074;font-weight:600}tr:nth-child(even) td{background:#f6f7f9}.outcome{font-weight:700}.note{color:#586074}`;

const renderSection = ({ title, columns, rows, note }: ReportSection): string => {
  const head = columns.some((name) => name !== '')
    ? `<thead><tr>${columns.map((name) => `<th>${escape(name)}</th>`).join('')}</tr></thead>`
    : '';
  const body = rows.map((row) => `<tr>${row.map((cell) => `<td>${escape(cell)}</td>`).join('')}</tr>`).join('\n');
  return `<h2>${escape(title)}</h2>\n${rows.length === 0 ? '' : `<table>${head}<tbody>\n${body}\n</tbody></table>`}${note === undefined ? '' : `<p class="note">${escape(note)}</p>`}`;
};

export const renderReportHtml = (report: Report): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Exchange ${escape(report.jobId)}</title><style>${style}</style></head>
<body><h1>Exchange of documents between cases</h1>
<p class="outcome">${escape(report.summary?.state.replaceAll('_', ' ') ?? 'UNFINISHED')}</p>
${reportSections(report).map(renderSection).join('\n')}
</body></html>
`;
