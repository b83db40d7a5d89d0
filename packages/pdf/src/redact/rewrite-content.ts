/**
 * Rewrites a content stream so that nothing under the areas is left in it.
 *
 * - Operators that lie elsewhere are copied byte by byte.
 * - Form XObjects and inline images that must change are copied first: other places that use them keep the original.
 * - The work is bounded by a budget of operators, so that forms which multiply each other end with `pdf_too_large`.
 */
import { CaseboundError } from '@casebound/contract';
import { type GraphicsState, initialState, type TextPosition, textStart } from '../content/graphics-state.ts';
import { type FontMetrics, fallbackFont, loadFont } from '../content/load-font.ts';
import { type Operator, readOperators } from '../content/read-operators.ts';
import type { CosFile } from '../cos/cos-file.ts';
import { type CosDict, type CosObject, emptyDict, isKind, isName, name, withEntries } from '../cos/objects.ts';
import { formatName, formatNumber, formatObject } from '../cos/serialize.ts';
import { type Box, identity, invert, type Matrix, multiply, transform } from '../geometry.ts';
import { imageCoverage } from './image-coverage.ts';
import type { ImageEditor } from './redact-image.ts';
import { ResourceEditor } from './resource-editor.ts';
import { paintOf, rewritePath, type Segment } from './rewrite-path.ts';
import { rewriteShow } from './rewrite-text.ts';

/** What was taken out. */
export interface RemovalCounts {
  glyphs: number;
  images: number;
  paths: number;
}

/** Shared by all streams of one page. */
export interface RewriteScope {
  readonly file: CosFile;
  readonly areas: readonly Box[];
  readonly images: ImageEditor;
  readonly counts: RemovalCounts;
  readonly budget: { operators: number };
  /** Marked-content ids of the page whose content changed. */
  readonly markedContent: Set<number>;
  /** Fonts by object number, kept for the whole document. */
  readonly fonts: Map<number, FontMetrics>;
  /** Type 3 fonts that lost glyphs: their unused glyph procedures must go. */
  readonly type3: Set<number>;
  /** Results for forms by object number and matrix. */
  readonly forms: Map<string, CosObject | undefined>;
}

export interface RewriteResult {
  /** Undefined when nothing had to change. */
  readonly bytes: Uint8Array | undefined;
  /** `q` without `Q` at the end. */
  readonly open: number;
  /** `Q` without `q`; they are dropped from rewritten streams. */
  readonly underflow: number;
}

interface Mark {
  readonly chunk: number;
  readonly operation: Operator;
  affected: boolean;
}

type Chunk = string | { readonly start: number; readonly end: number };

const MAX_FORM_DEPTH = 28;
const ALTERNATES = ['ActualText', 'Alt', 'E'] as const;

const numbers = (operation: Operator, count: number): readonly number[] => {
  const values = operation.operands.slice(-count).map((operand) => (typeof operand === 'number' ? operand : 0));
  while (values.length < count) values.push(0);
  return values;
};

const asMatrix = (values: readonly number[]): Matrix => {
  const [a = 1, b = 0, c = 0, d = 1, e = 0, f = 0] = values;
  return [a, b, c, d, e, f];
};

/** The matrix of a form XObject. */
export const formMatrix = (file: CosFile, dict: CosDict): Matrix => {
  const items = file.array(dict.entries.get('Matrix'))?.items.map((item) => file.resolve(item));
  return items?.length === 6 && items.every((item) => typeof item === 'number') ? asMatrix(items) : identity;
};

/** Everything of the shading's plane but the areas, as clipping paths. */
const clipAround = (areas: readonly Box[], ctm: Matrix): string => {
  const back = invert(ctm);
  if (back === undefined) return '';
  const far = 100_000;
  const ring = ({ left, bottom, right, top }: Box): string =>
    [
      [left, bottom],
      [right, bottom],
      [right, top],
      [left, top],
    ]
      .map(([x = 0, y = 0], at) => {
        const point = transform(back, x, y);
        return `${formatNumber(point.x)} ${formatNumber(point.y)} ${at === 0 ? 'm' : 'l'}`;
      })
      .join(' ');
  return areas
    .map((area) => `${ring({ left: -far, bottom: -far, right: far, top: far })} h ${ring(area)} h W* n`)
    .join('\n');
};

class ContentRewriter {
  readonly scope: RewriteScope;
  readonly bytes: Uint8Array;
  readonly resources: ResourceEditor;
  readonly ancestors: readonly number[];
  readonly #stack: GraphicsState[] = [];
  readonly #marks: (Mark | undefined)[] = [];
  readonly #chunks: Chunk[] = [];
  /** Chunks before this one are not extended. */
  #sealed = 0;
  #state: GraphicsState;
  #text: TextPosition = textStart;
  #changed = false;
  #underflow = 0;
  #inText = false;
  #path: Segment[] = [];
  #pathRanges: { readonly start: number; readonly end: number }[] = [];
  #pathPoint = { x: 0, y: 0 };
  #clip: string | undefined;

  constructor(
    scope: RewriteScope,
    bytes: Uint8Array,
    resources: ResourceEditor,
    state: GraphicsState,
    ancestors: readonly number[],
  ) {
    this.scope = scope;
    this.bytes = bytes;
    this.resources = resources;
    this.#state = state;
    this.ancestors = ancestors;
  }

  run(): RewriteResult {
    for (const operation of readOperators(this.bytes)) {
      this.scope.budget.operators -= 1;
      if (this.scope.budget.operators < 0)
        throw new CaseboundError('pdf_too_large', 'The page draws more operations than one page may.');
      this.#apply(operation);
    }
    for (const { start, end } of this.#pathRanges) this.#copy(start, end);
    while (this.#marks.length > 0) this.#endMark();
    if (this.#inText && this.#changed) this.#chunks.push('\nET');
    return { bytes: this.#changed ? this.#finish() : undefined, open: this.#stack.length, underflow: this.#underflow };
  }

  #finish(): Uint8Array {
    return Buffer.concat(
      this.#chunks.map((chunk) =>
        typeof chunk === 'string' ? Buffer.from(`\n${chunk}\n`, 'latin1') : this.bytes.subarray(chunk.start, chunk.end),
      ),
    );
  }

  #copy(start: number, end: number): void {
    const last = this.#chunks.at(-1);
    if (typeof last === 'object' && last.end === start && this.#chunks.length > this.#sealed)
      this.#chunks[this.#chunks.length - 1] = { start: last.start, end };
    else this.#chunks.push({ start, end });
  }

  #keep(operation: Operator): void {
    this.#copy(operation.start, operation.end);
  }

  #replace(text: string): void {
    this.#changed = true;
    this.#chunks.push(text);
  }

  /** Content of the current marked-content sequences was removed. */
  #taint(): void {
    for (const mark of this.#marks) if (mark !== undefined) mark.affected = true;
  }

  #apply(operation: Operator): void {
    const { operator } = operation;
    if (this.#isPath(operation)) return;
    switch (operator) {
      case 'q':
        this.#stack.push(this.#state);
        break;
      case 'Q': {
        const state = this.#stack.pop();
        if (state === undefined) {
          this.#underflow += 1;
          this.#changed = true;
          return;
        }
        this.#state = state;
        break;
      }
      case 'cm':
        this.#state = { ...this.#state, ctm: multiply(asMatrix(numbers(operation, 6)), this.#state.ctm) };
        break;
      case 'w':
        this.#state = { ...this.#state, lineWidth: numbers(operation, 1)[0] ?? 1 };
        break;
      case 'gs':
        return this.#setExtGState(operation);
      case 'Do':
        return this.#drawXObject(operation);
      case 'BI':
        return this.#drawInlineImage(operation);
      case 'sh':
        this.#replace(
          `q\n${clipAround(this.scope.areas, this.#state.ctm)}\n${operation.operands.map(formatObject).join(' ')} sh\nQ`,
        );
        return;
      case 'BDC':
      case 'BMC':
        this.#keepAlone(operation);
        this.#marks.push({ chunk: this.#chunks.length - 1, operation, affected: false });
        return;
      case 'EMC':
        this.#endMark();
        break;
      default:
        return this.#applyText(operation);
    }
    this.#keep(operation);
  }

  /** Copies as a chunk of its own, so that it can be replaced later. */
  #keepAlone(operation: Operator): void {
    this.#chunks.push({ start: operation.start, end: operation.end });
    this.#sealed = this.#chunks.length;
  }

  #endMark(): void {
    const mark = this.#marks.pop();
    if (mark === undefined || !mark.affected || mark.operation.operator !== 'BDC') return;
    const [tag, properties] = mark.operation.operands;
    const own = isKind(properties, 'name') ? this.resources.lookup('Properties', properties.name) : properties;
    const dict = this.scope.file.dict(own);
    if (dict === undefined) return;
    const id = this.scope.file.resolve(dict.entries.get('MCID'));
    if (typeof id === 'number') this.scope.markedContent.add(id);
    if (!ALTERNATES.some((key) => dict.entries.has(key))) return;
    const stripped = withEntries(dict, { ActualText: undefined, Alt: undefined, E: undefined });
    const operand = isKind(properties, 'name')
      ? formatName(this.resources.add('Properties', 'CBp', this.scope.file.add(stripped)))
      : formatObject(stripped);
    this.#changed = true;
    this.#chunks[mark.chunk] = `${formatObject(tag ?? name('Span'))} ${operand} BDC`;
  }

  // Paths: collected until they are painted, then copied or rewritten as a whole. What stands between construction and
  // painting against the rules (a colour, say) is copied before the path, where it has the effect that readers give it.
  #isPath(operation: Operator): boolean {
    const { operator } = operation;
    const segment = this.#segmentOf(operation);
    if (segment.length > 0 || operator === 'W' || operator === 'W*') {
      this.#pathRanges.push({ start: operation.start, end: operation.end });
      this.#path.push(...segment);
      if (operator === 'W' || operator === 'W*') this.#clip = operator;
      return true;
    }
    if (paintOf[operator] === undefined) return false;
    const rewritten =
      this.#path.length === 0
        ? undefined
        : rewritePath(
            {
              segments: this.#path,
              operator,
              clip: this.#clip,
              ctm: this.#state.ctm,
              lineWidth: this.#state.lineWidth,
            },
            this.scope.areas,
          );
    if (rewritten === undefined) {
      for (const { start, end } of this.#pathRanges) this.#copy(start, end);
      this.#keep(operation);
    } else {
      this.scope.counts.paths += 1;
      this.#taint();
      this.#replace(rewritten);
    }
    this.#path = [];
    this.#pathRanges = [];
    this.#clip = undefined;
    return true;
  }

  #segmentOf(operation: Operator): readonly Segment[] {
    const current = this.#pathPoint;
    switch (operation.operator) {
      case 'm':
      case 'l': {
        const [x = 0, y = 0] = numbers(operation, 2);
        this.#pathPoint = { x, y };
        return [{ kind: operation.operator === 'm' ? 'move' : 'line', to: { x, y } }];
      }
      case 'c': {
        const [x1 = 0, y1 = 0, x2 = 0, y2 = 0, x = 0, y = 0] = numbers(operation, 6);
        this.#pathPoint = { x, y };
        return [{ kind: 'curve', c1: { x: x1, y: y1 }, c2: { x: x2, y: y2 }, to: { x, y } }];
      }
      case 'v': {
        const [x2 = 0, y2 = 0, x = 0, y = 0] = numbers(operation, 4);
        this.#pathPoint = { x, y };
        return [{ kind: 'curve', c1: current, c2: { x: x2, y: y2 }, to: { x, y } }];
      }
      case 'y': {
        const [x1 = 0, y1 = 0, x = 0, y = 0] = numbers(operation, 4);
        this.#pathPoint = { x, y };
        return [{ kind: 'curve', c1: { x: x1, y: y1 }, c2: { x, y }, to: { x, y } }];
      }
      case 're': {
        const [x = 0, y = 0, width = 0, height = 0] = numbers(operation, 4);
        this.#pathPoint = { x, y };
        return [
          { kind: 'move', to: { x, y } },
          { kind: 'line', to: { x: x + width, y } },
          { kind: 'line', to: { x: x + width, y: y + height } },
          { kind: 'line', to: { x, y: y + height } },
          { kind: 'close' },
        ];
      }
      case 'h':
        return [{ kind: 'close' }];
      default:
        return [];
    }
  }

  // Text
  #applyText(operation: Operator): void {
    const state = this.#state;
    const number = (): number => numbers(operation, 1)[0] ?? 0;
    switch (operation.operator) {
      case 'BT':
        this.#text = textStart;
        this.#inText = true;
        break;
      case 'ET':
        this.#inText = false;
        break;
      case 'Tc':
        this.#state = { ...state, charSpacing: number() };
        break;
      case 'Tw':
        this.#state = { ...state, wordSpacing: number() };
        break;
      case 'Tz':
        this.#state = { ...state, scaling: number() / 100 };
        break;
      case 'TL':
        this.#state = { ...state, leading: number() };
        break;
      case 'Ts':
        this.#state = { ...state, rise: number() };
        break;
      case 'Tf': {
        const font = operation.operands.at(-2);
        this.#state = {
          ...state,
          font: isKind(font, 'name') ? this.#font(font.name) : fallbackFont,
          fontSize: number(),
        };
        break;
      }
      case 'Td':
      case 'TD': {
        const [x = 0, y = 0] = numbers(operation, 2);
        if (operation.operator === 'TD') this.#state = { ...state, leading: -y };
        this.#moveLine(x, y);
        break;
      }
      case 'Tm': {
        const matrix = asMatrix(numbers(operation, 6));
        this.#text = { matrix, line: matrix };
        break;
      }
      case 'T*':
        this.#moveLine(0, -state.leading);
        break;
      case 'Tj':
        return this.#show(operation, operation.operands.slice(-1), '');
      case 'TJ': {
        const items = operation.operands.at(-1);
        return this.#show(operation, isKind(items, 'array') ? items.items : [], '');
      }
      case "'":
        this.#moveLine(0, -state.leading);
        return this.#show(operation, operation.operands.slice(-1), 'T*\n');
      case '"': {
        const [wordSpacing, charSpacing] = operation.operands.slice(-3);
        this.#state = {
          ...state,
          wordSpacing: typeof wordSpacing === 'number' ? wordSpacing : 0,
          charSpacing: typeof charSpacing === 'number' ? charSpacing : 0,
        };
        this.#moveLine(0, -state.leading);
        const spacing = `${formatNumber(this.#state.wordSpacing)} Tw ${formatNumber(this.#state.charSpacing)} Tc `;
        return this.#show(operation, operation.operands.slice(-1), `${spacing}T*\n`);
      }
      default:
        break;
    }
    this.#keep(operation);
  }

  #moveLine(x: number, y: number): void {
    const line = multiply([1, 0, 0, 1, x, y], this.#text.line);
    this.#text = { matrix: line, line };
  }

  #fontNumber: number | undefined;

  #font(fontName: string): FontMetrics {
    const object = this.resources.lookup('Font', fontName);
    this.#fontNumber = isKind(object, 'ref') ? object.number : undefined;
    return this.#loadFont(object);
  }

  #loadFont(object: CosObject | undefined): FontMetrics {
    if (!isKind(object, 'ref')) return loadFont(this.scope.file, object);
    const known = this.scope.fonts.get(object.number);
    if (known !== undefined) return known;
    const font = loadFont(this.scope.file, object);
    this.scope.fonts.set(object.number, font);
    return font;
  }

  #show(operation: Operator, items: readonly CosObject[], before: string): void {
    const result = rewriteShow(items, this.#state, this.#text.matrix, this.scope.areas);
    this.#text = { ...this.#text, matrix: multiply([1, 0, 0, 1, result.shiftX, result.shiftY], this.#text.matrix) };
    if (result.replacement === undefined) {
      this.#keep(operation);
      return;
    }
    this.scope.counts.glyphs += result.removed;
    if (this.#fontNumber !== undefined) this.scope.type3.add(this.#fontNumber);
    this.#taint();
    this.#replace(`${before}${result.replacement} TJ`);
  }

  // External objects
  #setExtGState(operation: Operator): void {
    const key = operation.operands.at(-1);
    const { file } = this.scope;
    const settings = isKind(key, 'name') ? file.dict(this.resources.lookup('ExtGState', key.name)) : undefined;
    const font = file.array(settings?.entries.get('Font'))?.items;
    const width = file.resolve(settings?.entries.get('LW'));
    if (typeof width === 'number') this.#state = { ...this.#state, lineWidth: width };
    const size = file.resolve(font?.[1]);
    if (font !== undefined && typeof size === 'number')
      this.#state = { ...this.#state, font: this.#loadFont(font[0]), fontSize: size };
    const mask = file.dict(settings?.entries.get('SMask'));
    const group = mask?.entries.get('G');
    const replacement = group === undefined ? undefined : this.#rewriteForm(group);
    if (settings === undefined || mask === undefined || replacement === undefined) {
      this.#keep(operation);
      return;
    }
    const copy = withEntries(settings, { SMask: withEntries(mask, { G: replacement }) });
    this.#replace(`${formatName(this.resources.add('ExtGState', 'CBg', file.add(copy)))} gs`);
  }

  #drawXObject(operation: Operator): void {
    const key = operation.operands.at(-1);
    const { file } = this.scope;
    const object = isKind(key, 'name') ? this.resources.lookup('XObject', key.name) : undefined;
    const stream = file.stream(object);
    if (!isKind(key, 'name') || object === undefined || stream === undefined) {
      this.#keep(operation);
      return;
    }
    const subtype = file.resolve(stream.dict.entries.get('Subtype'));
    if (isName(subtype, 'Image')) {
      const coverage = imageCoverage(this.#state.ctm, this.scope.areas);
      if (coverage.kind === 'none') {
        this.resources.useXObject(key.name);
        this.#keep(operation);
        return;
      }
      this.scope.counts.images += 1;
      this.#taint();
      if (coverage.kind === 'whole') {
        this.#replace('');
        return;
      }
      this.#replace(
        `${formatName(this.resources.add('XObject', 'CBi', this.scope.images.redact(object, coverage.polygons)))} Do`,
      );
      return;
    }
    if (isName(subtype, 'Form')) {
      if (isKind(object, 'ref') && (this.ancestors.includes(object.number) || this.ancestors.length > MAX_FORM_DEPTH)) {
        this.#replace('');
        return;
      }
      const replacement = this.#rewriteForm(object);
      if (replacement !== undefined) {
        this.#taint();
        this.#replace(`${formatName(this.resources.add('XObject', 'CBf', replacement))} Do`);
        return;
      }
    }
    this.resources.useXObject(key.name);
    this.#keep(operation);
  }

  /** A rewritten copy of a form drawn with the current matrix, or undefined when it can stay. */
  #rewriteForm(object: CosObject): CosObject | undefined {
    const { file } = this.scope;
    const form = file.stream(object);
    if (form === undefined) return undefined;
    const ctm = multiply(formMatrix(file, form.dict), this.#state.ctm);
    const memo = isKind(object, 'ref') ? `${object.number} ${ctm.map(formatNumber).join(' ')}` : undefined;
    if (memo !== undefined && this.scope.forms.has(memo)) return this.scope.forms.get(memo);
    const data = file.decode(form);
    if (data === undefined) throw new CaseboundError('pdf_damaged', 'A form cannot be decoded.');
    const base = file.dict(form.dict.entries.get('Resources')) ?? this.resources.base ?? emptyDict;
    const resources = new ResourceEditor(file, base);
    const ancestors = isKind(object, 'ref') ? [...this.ancestors, object.number] : this.ancestors;
    const result = new ContentRewriter(this.scope, data, resources, { ...this.#state, ctm }, ancestors).run();
    const replacement =
      result.bytes === undefined
        ? undefined
        : file.addStream(
            withEntries(form.dict, {
              Resources: file.add(resources.finish()),
              Metadata: undefined,
              PieceInfo: undefined,
            }),
            result.bytes,
          );
    if (memo !== undefined) this.scope.forms.set(memo, replacement);
    return replacement;
  }

  #drawInlineImage(operation: Operator): void {
    const image = operation.inlineImage;
    const coverage = imageCoverage(this.#state.ctm, this.scope.areas);
    if (image === undefined || coverage.kind === 'none') {
      this.#keep(operation);
      return;
    }
    this.scope.counts.images += 1;
    this.#taint();
    if (coverage.kind === 'whole') {
      this.#replace('');
      return;
    }
    const colorSpaces = this.scope.file.dict(this.resources.base.entries.get('ColorSpace'));
    const stream = this.scope.images.expandInline(image.dict, image.data, colorSpaces);
    const redacted = this.scope.images.redact(this.scope.file.add(stream), coverage.polygons);
    this.#replace(`${formatName(this.resources.add('XObject', 'CBi', redacted))} Do`);
  }
}

/** Rewrites the content of a page. Throws `pdf_too_large`, `pdf_damaged`. */
export const rewriteContent = (scope: RewriteScope, bytes: Uint8Array, resources: ResourceEditor): RewriteResult =>
  new ContentRewriter(scope, bytes, resources, initialState(identity), []).run();
