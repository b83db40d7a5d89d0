/** The operations of the upstream API, by method and path, on what the test server keeps. */
import { randomUUID } from 'node:crypto';
import {
  contentsOf,
  faultOf,
  hashOf,
  isMembers,
  keepKnown,
  type Layer,
  layerToChange,
  layerToRead,
  makeDocument,
  type Members,
  redactLayer,
  Refused,
  type ServerDocument,
  type ServerRecord,
} from './nutrient-documents.ts';
import type { NutrientServer, SeenRequest } from './nutrient-server.ts';

export interface ServerRequest extends SeenRequest {
  readonly accept: string;
}

export interface ServerAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
}

const json = (body: unknown): ServerAnswer => ({
  status: 200,
  contentType: 'application/json',
  body: Buffer.from(JSON.stringify(body)),
});

const binary = (contentType: string, bytes: Uint8Array): ServerAnswer => ({
  status: 200,
  contentType,
  body: Buffer.from(bytes),
});

const done = (): ServerAnswer => ({ status: 200, contentType: 'text/plain', body: Buffer.from('') });

const notFound = (what: string): Refused => new Refused(404, { reason: `${what} not found` });

const parse = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new Refused(400, { details: 'The request is malformed', status: 400 });
  }
};

const formOf = async ({ headers, body }: ServerRequest): Promise<FormData> =>
  new Response(Uint8Array.from(body), { headers: { 'content-type': headers['content-type'] ?? '' } }).formData();

const isForm = ({ headers }: ServerRequest): boolean => (headers['content-type'] ?? '').startsWith('multipart/');

const propertiesOf = (document: ServerDocument, bytes: Uint8Array): Members => ({
  id: document.id,
  passwordProtected: document.locked,
  sourcePdfSha256: hashOf(document.source),
  title: document.title,
  byteSize: bytes.length,
  createdAt: document.createdAt,
  storage: { type: 'built-in' },
});

const textField = (form: FormData, name: string): string | undefined => {
  const value = form.get(name);
  return typeof value === 'string' ? value : undefined;
};

const upload = async (server: NutrientServer, request: ServerRequest): Promise<ServerAnswer> => {
  const form = isForm(request) ? await formOf(request) : new FormData();
  const file = form.get('file');
  const source = file instanceof Blob ? new Uint8Array(await file.arrayBuffer()) : Uint8Array.from(request.body);
  const id = textField(form, 'document_id') ?? randomUUID();
  if (server.documents.has(id) && textField(form, 'overwrite_existing_document') !== 'true')
    throw new Refused(400, { details: `document_id ${id} is already taken`, status: 400 });
  // Removed before the new one is created, as the description says: one that cannot be read is gone nevertheless.
  server.documents.delete(id);
  const document = makeDocument(server.pdf, id, textField(form, 'title') ?? null, source);
  server.documents.set(id, document);
  const { title, createdAt } = document;
  return json({
    data: {
      document_id: id,
      errors: [],
      password_protected: document.locked,
      sourcePdfSha256: hashOf(source),
      title,
      createdAt,
    },
  });
};

const listDocuments = (server: NutrientServer, { query }: ServerRequest): ServerAnswer => {
  const size = Number(query.get('page_size') ?? '10');
  if (!Number.isInteger(size) || size < 1) throw new Refused(400, { details: 'page_size is invalid' });
  const cursor = query.get('cursor');
  const decoded: unknown = cursor === null ? ['next', 0] : JSON.parse(Buffer.from(cursor, 'base64url').toString());
  const start = Array.isArray(decoded) ? Number(decoded[1]) : 0;
  const all = [...server.documents.values()];
  const page = all.slice(start, start + size);
  const next = start + size;
  return json({
    data: page.map((document) => propertiesOf(document, document.source)),
    next_cursor: next < all.length ? Buffer.from(JSON.stringify(['next', next])).toString('base64url') : null,
    prev_cursor: null,
    document_count: all.length,
  });
};

const asRecord = ({ id, content, createdBy, updatedBy, group }: ServerRecord): Members => ({
  id,
  content: { ...content, id },
  createdBy,
  updatedBy,
  group,
});

const listAnnotations = (layer: Layer, { accept }: ServerRequest, page: string | undefined): ServerAnswer => {
  const all = [...layer.annotations.values()]
    .filter(({ content }) => page === undefined || content['pageIndex'] === Number(page))
    .map(asRecord);
  if (accept.includes('application/x-ndjson'))
    return {
      status: 200,
      contentType: 'application/x-ndjson; charset=utf-8',
      body: Buffer.from(all.map((record) => `${JSON.stringify(record)}\n`).join('')),
    };
  return json({ data: { annotations: all.slice(0, 1_000), truncated: all.length > 1_000 } });
};

const batchOf = async (
  document: ServerDocument,
  request: ServerRequest,
): Promise<{ readonly items: readonly unknown[]; readonly single: boolean }> => {
  let body: unknown;
  if (isForm(request)) {
    const form = await formOf(request);
    for (const [name, value] of form) {
      if (!(value instanceof Blob)) continue;
      const bytes = new Uint8Array(await value.arrayBuffer());
      if (name === 'annotations' || name === 'annotation') body = parse(Buffer.from(bytes));
      else if (hashOf(bytes) !== name) throw new Refused(422, { details: `part ${name} is not named by its hash` });
      else document.binaries.set(name, { bytes, contentType: value.type });
    }
  } else body = parse(request.body);
  if (!isMembers(body)) throw new Refused(400, { details: 'The request is malformed', status: 400 });
  const list = body['annotations'];
  return Array.isArray(list) ? { items: list, single: false } : { items: [body], single: true };
};

const user = (item: Members): string | null => (typeof item['user_id'] === 'string' ? item['user_id'] : null);

/** Creates or replaces; some may fail. */
const writeAnnotations = async (
  server: NutrientServer,
  document: ServerDocument,
  layerName: string,
  request: ServerRequest,
): Promise<ServerAnswer> => {
  const { items, single } = await batchOf(document, request);
  const pageCount = server.pdf.pages(document.source).length;
  const layer = layerToChange(document, layerName);
  const failing: Members[] = [];
  const written: Members[] = [];
  items.forEach((item, at) => {
    const own: Members = isMembers(item) ? item : {};
    const id = typeof own['id'] === 'string' ? own['id'] : randomUUID();
    const present = layer.annotations.get(id);
    const { content } = own;
    const image = isMembers(content) ? content['imageAttachmentId'] : undefined;
    const fault =
      server.refuseAnnotation(id) ??
      faultOf(content, pageCount) ??
      (request.method === 'POST' && present !== undefined ? 'id is already taken' : undefined) ??
      (request.method === 'PUT' && present === undefined ? 'annotation does not exist' : undefined) ??
      (typeof image === 'string' && !document.binaries.has(image) ? `attachment ${image} is missing` : undefined);
    if (fault !== undefined || !isMembers(content)) {
      failing.push({ path: `$.annotations[${at}]`, error: fault, details: `${fault}: ${JSON.stringify(item)}` });
      return;
    }
    const record: ServerRecord = {
      id,
      content: keepKnown(content),
      createdBy: present === undefined ? user(own) : present.createdBy,
      updatedBy: user(own),
      group: null,
    };
    layer.annotations.set(id, record);
    written.push({ id, content: record.content, user_id: record.createdBy });
  });
  const [only] = written;
  if (single && only !== undefined) return json({ data: { annotation_id: only['id'] } });
  if (single) throw new Refused(422, { details: failing[0]?.['details'] });
  const result = failing.length === 0 ? 'success' : written.length === 0 ? 'failure' : 'partial_failure';
  return json({ result, status: 200, request_id: randomUUID(), data: written, failing_paths: failing });
};

const removeAnnotations = (document: ServerDocument, layerName: string, request: ServerRequest): ServerAnswer => {
  const body = parse(request.body);
  const ids = isMembers(body) ? body['annotationIds'] : undefined;
  const layer = layerToChange(document, layerName);
  const list = ids === 'all' ? [...layer.annotations.keys()] : ids;
  if (!Array.isArray(list)) throw new Refused(422, { details: 'annotationIds is required' });
  for (const id of list) {
    layer.annotations.delete(String(id));
    layer.comments.delete(String(id));
  }
  return done();
};

const rootOf = (layer: Layer, id: string): ServerRecord => {
  const root = layer.annotations.get(id);
  if (root === undefined) throw notFound('annotation');
  if (!/^pspdfkit\/(markup\/|comment-marker$)/.test(String(root.content['type'])))
    throw new Refused(400, { details: 'The annotation is neither markup annotation nor comment marker.' });
  return root;
};

const addComments = (
  document: ServerDocument,
  layerName: string,
  rootId: string,
  request: ServerRequest,
): ServerAnswer => {
  rootOf(layerToRead(document, layerName), rootId);
  const layer = layerToChange(document, layerName);
  const body = parse(request.body);
  const list = isMembers(body) ? body['comments'] : undefined;
  if (!Array.isArray(list)) throw new Refused(422, { comments: [] });
  const taken = new Set([...layer.comments.values()].flat().map(({ id }) => id));
  const added = list.map((item: unknown): ServerRecord => {
    const own: Members = isMembers(item) ? item : {};
    const content = own['content'];
    const id = typeof own['id'] === 'string' ? own['id'] : randomUUID();
    if (!isMembers(content) || typeof content['text'] !== 'string' || taken.has(id))
      throw new Refused(422, { comments: [{ content: { text: ['is required'] } }] });
    const { text, createdAt, updatedAt, customData, creatorName } = content;
    return {
      id,
      content: {
        v: 2,
        type: 'pspdfkit/comment',
        rootId,
        pageIndex: layer.annotations.get(rootId)?.content['pageIndex'],
        text: { format: 'plain', value: text },
        createdAt: createdAt ?? new Date().toISOString(),
        ...(updatedAt === undefined ? {} : { updatedAt }),
        ...(customData === undefined ? {} : { customData }),
        ...(creatorName === undefined ? {} : { creatorName }),
      },
      createdBy: user(own),
      updatedBy: user(own),
      group: null,
    };
  });
  layer.comments.set(rootId, [...(layer.comments.get(rootId) ?? []), ...added]);
  const root = layer.annotations.get(rootId);
  if (root !== undefined) root.content = { ...root.content, isCommentThreadRoot: true };
  return json({ data: { comments: added.map(({ id }) => ({ id })) } });
};

const exported = (document: ServerDocument, layer: Layer): ServerAnswer => {
  const { annotations, comments } = contentsOf(document, layer, { annotations: true, comments: true });
  return json({
    format: 'https://pspdfkit.com/instant-json/v1',
    annotations,
    comments: comments.map((comment) => ({ ...comment, id: undefined })),
  });
};

const downloaded = (
  { pdf }: NutrientServer,
  document: ServerDocument,
  layer: Layer,
  { query }: ServerRequest,
): ServerAnswer => {
  const source = query.get('source') === 'true';
  const flatten = query.get('flatten') === 'true';
  if (source && flatten) throw new Refused(400, { details: 'source and flatten' });
  if (source) return binary('application/pdf', document.source);
  if (!flatten && layer.whole !== undefined) return binary('application/pdf', layer.whole);
  const contents = contentsOf(document, layer, {
    annotations: query.get('annotations') !== 'false',
    comments: query.get('comments') !== 'false',
  });
  return binary('application/pdf', pdf.putTogether(layer.bare, contents, flatten));
};

const search = (server: NutrientServer, layer: Layer, { query }: ServerRequest): ServerAnswer => {
  const q = query.get('q') ?? '';
  const type = query.get('type') ?? 'text';
  if (q === '' || (type === 'text' && q.length < 3)) throw new Refused(400, { details: `q ${q} is too short` });
  const inline = /^\(\?([ims]+)\)(.*)$/s.exec(q);
  const ignoreCase =
    query.get('case_sensitive') === 'false' || (type === 'text' && query.get('case_sensitive') !== 'true');
  const source = type === 'text' ? q.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`) : (inline?.[2] ?? q);
  const flags = new Set(['g', 'u', ...(ignoreCase ? ['i'] : []), ...(inline?.[1] ?? '').split('')]);
  const found = server.pdf.search(layer.bare, new RegExp(source, [...flags].join('')));
  return json({
    data: found.map(({ pageIndex, text, rects }) => ({
      pageIndex,
      previewText: `... ${text} ...`,
      rangeInPreview: [4, text.length],
      rectsOnPage: rects.map(([left, top, width, height]) =>
        server.rectOrder === 'left-top' ? [left, top, width, height] : [top, left, width, height],
      ),
      isAnnotation: false,
    })),
  });
};

const render = (
  server: NutrientServer,
  document: ServerDocument,
  layer: Layer,
  pageIndex: number,
  { query }: ServerRequest,
): ServerAnswer => {
  const width = query.get('width');
  if ((width === null) === (query.get('height') === null) || width === null)
    throw new Refused(400, { details: 'exactly one of width and height' });
  const contents = contentsOf(document, layer, { annotations: true, comments: false });
  return binary(
    'image/png',
    server.pdf.png(server.pdf.putTogether(layer.bare, contents, false), pageIndex, Number(width)),
  );
};

/** What lies below a layer, the default one too. */
const serveLayer = async (
  server: NutrientServer,
  document: ServerDocument,
  layerName: string,
  rest: readonly string[],
  request: ServerRequest,
): Promise<ServerAnswer> => {
  const layer = layerToRead(document, layerName);
  const [first = '', second, third] = rest;
  const operation = `${request.method} ${[first, second === undefined ? '' : '*', third ?? ''].filter((one) => one !== '').join('/')}`;
  const pages = (): readonly { width: number; height: number; rotation: number }[] => server.pdf.pages(layer.bare);
  const page = (): number => {
    const index = Number(second);
    if (!Number.isInteger(index) || index < 0 || index >= pages().length)
      throw new Refused(404, { details: "Parameter 'page_index' is invalid or out of bounds." });
    return index;
  };
  switch (operation) {
    case 'GET document_info':
      return json({
        data: {
          pageCount: pages().length,
          pages: pages().map(({ width, height, rotation }, pageIndex) => ({
            pageIndex,
            pageLabel: String(pageIndex + 1),
            width,
            height,
            rotation,
          })),
          title: document.title,
        },
      });
    case 'GET pages/*/text':
      return json({
        textLines: server.pdf.lines(layer.bare, page()).map(({ text, rect }) => ({ contents: text, ...rect })),
      });
    case 'GET pages/*/image':
      return render(server, document, layer, page(), request);
    case 'GET pages/*/annotations':
      page();
      return listAnnotations(layer, request, second);
    case 'GET annotations':
      return listAnnotations(layer, request, undefined);
    case 'POST annotations':
    case 'PUT annotations':
      return writeAnnotations(server, document, layerName, request);
    case 'DELETE annotations':
      return removeAnnotations(document, layerName, request);
    case 'GET annotations/*': {
      const record = layer.annotations.get(second ?? '');
      if (record === undefined) throw notFound('annotation');
      return json(asRecord(record));
    }
    case 'GET annotations/*/comments':
      rootOf(layer, second ?? '');
      return json({ data: { comments: (layer.comments.get(second ?? '') ?? []).map(asRecord) } });
    case 'POST annotations/*/comments':
      return addComments(document, layerName, second ?? '', request);
    case 'GET document.json':
      return exported(document, layer);
    case 'GET pdf':
      return downloaded(server, document, layer, request);
    case 'POST redact':
      redactLayer(server.pdf, document, layerName);
      return json(propertiesOf(document, layerToRead(document, layerName).bare));
    default:
      throw notFound('route');
  }
};

export const serveDocuments = async (server: NutrientServer, request: ServerRequest): Promise<ServerAnswer> => {
  const [api, what, name, ...rest] = request.path.split('/').slice(1).map(decodeURIComponent);
  if (api !== 'api' || what !== 'documents') throw notFound('route');
  if (name === undefined) {
    if (request.method === 'GET') return listDocuments(server, request);
    if (request.method === 'POST') return upload(server, request);
    throw notFound('route');
  }
  const document = server.documents.get(name);
  if (document === undefined) throw notFound('document');
  const [first, second, ...below] = rest;
  switch (`${request.method} ${rest.length > 2 ? '' : `${first ?? ''}${second === undefined ? '' : '/*'}`}`) {
    case 'DELETE ':
      server.documents.delete(name);
      return done();
    case 'GET properties':
      return json({ data: propertiesOf(document, document.source) });
    case 'GET layers':
      return json({ data: [...document.layers.keys()].filter((layer) => layer !== '') });
    case 'DELETE layers/*':
      if (!document.layers.delete(second ?? '')) throw notFound('layer');
      return done();
    case 'GET search':
      return search(server, layerToRead(document, ''), request);
    case 'GET attachments/*': {
      const found = document.binaries.get(second ?? '');
      if (found === undefined) throw notFound('attachment');
      return binary(found.contentType, found.bytes);
    }
    default:
  }
  if (document.locked) throw new Refused(400, { details: 'the document is password protected' });
  if (first === 'layers' && second !== undefined) return serveLayer(server, document, second, below, request);
  return serveLayer(server, document, '', rest, request);
};
