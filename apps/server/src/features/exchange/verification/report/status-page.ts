/**
 * A page about one exchange, and one about all of them, to be looked at in a browser: no scripts, nothing loaded, every value escaped. It asks to
 * be loaded again every two seconds until the exchange has ended.
 */
import type { Exchange, ExchangeItem } from '@casebound/contract';
import { escapeHtml, pageStyle } from './render-html.ts';

const ends: ReadonlySet<string> = new Set(['FINISHED', 'FINISHED_WITH_ERRORS', 'FAILED', 'CANCELLED', 'ROLLED_BACK']);
const refreshSeconds = 2;

const document = (title: string, body: string, refresh: boolean): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">${refresh ? `<meta http-equiv="refresh" content="${refreshSeconds}">` : ''}
<title>${escapeHtml(title)}</title><style>${pageStyle}</style></head><body>${body}</body></html>
`;

const cells = (row: readonly string[], tag: 'td' | 'th' = 'td'): string =>
  `<tr>${row.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;

const words = (name: string): string => name.toLowerCase().replaceAll('_', ' ');

const bar = (done: number, failed: number, total: number | null): string => {
  const most = Math.max(1, total ?? 1);
  const part = (count: number): string => ((Math.min(count, most) / most) * 100).toFixed(1);
  return `<svg viewBox="0 0 100 4" preserveAspectRatio="none" class="bar" role="img" aria-label="${done} of ${total ?? '?'}"><rect width="100" height="4" class="all"/><rect width="${part(done)}" height="4" class="done"/><rect x="${part(done)}" width="${part(failed)}" height="4" class="failed"/></svg>`;
};

const stageRows = (it: Exchange): string =>
  Object.entries(it.byStage)
    .map(([stage, progress]) => {
      const { done, failed, total, perSecond, etaSeconds } = progress;
      const pace = ends.has(it.state)
        ? ''
        : `${perSecond.toFixed(0)}/s${etaSeconds === null ? '' : `, ${Math.round(etaSeconds)} s left`}`;
      return `<tr><td>${escapeHtml(words(stage))}</td><td class="wide">${bar(done, failed, total)}</td><td>${done} done${failed === 0 ? '' : `, ${failed} failed`} of ${total ?? '?'}</td><td>${escapeHtml(pace)}</td></tr>`;
    })
    .join('\n');

/** One exchange: how far it is, what failed and why, and how to check it. */
export const renderExchangePage = (it: Exchange, failed: readonly ExchangeItem[]): string => {
  const hasEnded = ends.has(it.state);
  const failures =
    failed.length === 0
      ? ''
      : `<h2>Failed items</h2><table>${cells(['exhibit', 'stage', 'code', 'reason'], 'th')}${failed
          .map((item) =>
            cells([
              item.controlNumber ?? item.sourceControlNumber,
              words(item.stage),
              item.code ?? '',
              item.reason ?? '',
            ]),
          )
          .join('\n')}</table>`;
  const next = hasEnded
    ? `<h2>Next</h2><pre>npx casebound exchange verify ${it.jobId}
npx casebound exchange report ${it.jobId} -o report.pdf
npx casebound exchange rollback ${it.jobId}</pre>`
    : '';
  return document(
    `Exchange ${it.jobId}`,
    `<p><a href="/exchanges">All exchanges</a></p><h1>Exchange ${escapeHtml(it.jobId)}</h1>
<p class="outcome">${escapeHtml(words(it.state))}${it.failure === null ? '' : `: ${escapeHtml(it.failure.reason)} (${escapeHtml(it.failure.code)})`}</p>
<table>${cells(['from case', String(it.sourceCaseId)])}${cells(['to case', String(it.destinationCaseId)])}${cells(['exhibits', String(it.exhibits)])}${cells(['started', `${it.createdAt} by ${it.createdBy}`])}${cells(['ended', it.finishedAt ?? 'not yet'])}${cells(['manifest', it.manifestKey ?? 'not yet'])}</table>
<h2>Stages</h2><table>${stageRows(it)}</table>${failures}${next}`,
    !hasEnded,
  );
};

/** The exchanges of the installation, newest first. */
export const renderExchangesPage = (exchanges: readonly Exchange[]): string =>
  document(
    'Exchanges',
    `<h1>Exchanges</h1>${exchanges.length === 0 ? '<p>There are none yet: <code>npx casebound exchange --from A --to B --select all</code></p>' : ''}
<table>${cells(['exchange', 'from', 'to', 'exhibits', 'state', 'started'], 'th')}${exchanges
      .map(
        (it) =>
          `<tr><td><a href="/exchanges/${it.jobId}">${escapeHtml(it.jobId)}</a></td>${[String(it.sourceCaseId), String(it.destinationCaseId), String(it.exhibits), words(it.state), it.createdAt].map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`,
      )
      .join('\n')}</table>`,
    exchanges.some((it) => !ends.has(it.state)),
  );
