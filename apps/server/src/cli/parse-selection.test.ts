import { expect, test } from 'vitest';
import { parseSelection } from './parse-selection.ts';

test.each([
  [['all'], { by: 'all' }],
  [['ids:3, 4', 'ids:5'], { by: 'exhibits', exhibitIds: [3, 4, 5] }],
  [
    ['numbers:ACME000001-ACME000009,B-7,X1..Y2'],
    {
      by: 'controlNumbers',
      ranges: [
        { from: 'ACME000001', to: 'ACME000009' },
        { from: 'B-7', to: 'B-7' },
        { from: 'X1', to: 'Y2' },
      ],
    },
  ],
  [['label:Issues/Hot/Very'], { by: 'label', category: 'Issues', name: 'Hot/Very' }],
  [['folder:A/B'], { by: 'folder', path: 'A/B' }],
  [['query:two words'], { by: 'query', text: 'two words' }],
])('%j is understood', (given, selection) => {
  expect(parseSelection(given)).toEqual(selection);
});

test.each([[[]], [['everything']], [['label:Hot']], [['batch:A', 'batch:B']], [['ids:1', 'numbers:A1']]])(
  '%j is refused with the forms there are',
  (given) => {
    expect(() => parseSelection(given)).toThrow(/numbers:A1-A9/);
  },
);
