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
/** For text and for quoted attributes. */
export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (it) => escapes[it] ?? it);

export const pageStyle = `body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c2230}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid #cbd2dd}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top;overflow-wrap:anywhere}
th{color:#586074;font-weight:600}tr:nth-child(even) td{background:#f6f7f9}.outcome{font-weight:700}.note{color:#586074}
.wide{width:40%}.bar{width:100%;height:.8rem}.all{fill:#e3e7ee}.done{fill:#2f7d4f}.failed{fill:#b3372b}pre{background:#f6f7f9;padding:.8rem}`;

const renderSection = ({ title, columns, rows, note }: ReportSection): string => {
  const head = columns.some((name) => name !== '')
    ? `<thead><tr>${columns.map((name) => `<th>${escapeHtml(name)}</th>`).join('')}</tr></thead>`
    : '';
  const body = rows.map((row) => `<tr>${row.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`).join('\n');
  return `<h2>${escapeHtml(title)}</h2>\n${rows.length === 0 ? '' : `<table>${head}<tbody>\n${body}\n</tbody></table>`}${note === undefined ? '' : `<p class="note">${escapeHtml(note)}</p>`}`;
};

export const renderReportHtml = (report: Report): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Exchange ${escapeHtml(report.jobId)}</title><style>${pageStyle}</style></head>
<body><h1>Exchange of documents between cases</h1>
<p class="outcome">${escapeHtml(report.summary?.state.replaceAll('_', ' ') ?? 'UNFINISHED')}</p>
${reportSections(report).map(renderSection).join('\n')}
</body></html>
`;
