/**
 * A setting that holds a secret: a reference `secret://name` or `secret://name#field`, or, for development, the text itself.
 *
 * - Any text that does not start with `secret://` is a literal and is masked wherever the setting is printed.
 * - Names are plain segments, so they are safe as a file path below a folder, an environment variable and an AWS name.
 */
import { inspect } from 'node:util';
import { z } from 'zod';
import { describeShape, hasShape, type SecretShape } from './secret-shape.ts';
import { maskedSecret, SecretValue } from './secret-value.ts';

/** `field` is a member of the secret, which then is a JSON object. */
export interface SecretReference {
  readonly name: string;
  readonly field?: string;
}

export const secretScheme = 'secret://';

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_-]*(?:[./][A-Za-z0-9][A-Za-z0-9_-]*)*$/;
const fieldPattern = /^[A-Za-z0-9_.-]{1,128}$/;

export const isSecretName = (name: string): boolean => name.length <= 200 && namePattern.test(name);

/** Parses `secret://name[#field]`; undefined when the text has not this form. */
export const parseSecretReference = (text: string): SecretReference | undefined => {
  if (!text.startsWith(secretScheme)) return undefined;
  const [name = '', field, ...more] = text.slice(secretScheme.length).split('#');
  if (!isSecretName(name) || more.length > 0) return undefined;
  if (field === undefined) return { name };
  return fieldPattern.test(field) ? { name, field } : undefined;
};

export const formatSecretReference = ({ name, field }: SecretReference): string =>
  field === undefined ? `${secretScheme}${name}` : `${secretScheme}${name}#${field}`;

export class SecretSetting {
  readonly shape: SecretShape;
  /** Undefined when the setting holds a literal. */
  readonly reference: SecretReference | undefined;
  readonly #literal: SecretValue | undefined;

  private constructor(shape: SecretShape, reference: SecretReference | undefined, literal: SecretValue | undefined) {
    this.shape = shape;
    this.reference = reference;
    this.#literal = literal;
    Object.freeze(this);
  }

  /** A secret that the product itself needs and no setting names. Throws a RangeError for a name that is not allowed. */
  static named(name: string, shape: SecretShape): SecretSetting {
    if (!isSecretName(name)) throw new RangeError(`"${name}" is no name of a secret`);
    return new SecretSetting(shape, { name }, undefined);
  }

  static refer(reference: SecretReference, shape: SecretShape): SecretSetting {
    return new SecretSetting(shape, reference, undefined);
  }

  static literal(text: string, shape: SecretShape): SecretSetting {
    return new SecretSetting(shape, undefined, new SecretValue(text));
  }

  /** The secret written into the configuration itself, if it is one. */
  get literal(): SecretValue | undefined {
    return this.#literal;
  }

  /** The reference, or the mask: a name is no secret, a literal is. */
  toString(): string {
    return this.reference === undefined ? maskedSecret : formatSecretReference(this.reference);
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

const malformedReference =
  'expected secret://name or secret://name#field, the name in letters, digits, "-" and "_", parts separated by "." or "/"';

/**
 * The zod type of a setting that holds a secret of this shape. Its output is a `SecretSetting`, which `Secrets.get` turns
 * into the value. A literal of another shape is refused when the configuration is read. Marked `secret` in zod's metadata:
 * everything that prints configuration masks it.
 */
export const secretString = (shape: SecretShape) =>
  z
    .string()
    .transform((text, context): SecretSetting => {
      if (text.startsWith(secretScheme)) {
        const reference = parseSecretReference(text);
        if (reference !== undefined) return SecretSetting.refer(reference, shape);
        context.addIssue({ code: 'custom', message: malformedReference });
        return z.NEVER;
      }
      const setting = SecretSetting.literal(text, shape);
      if (!hasShape(new SecretValue(text), shape)) {
        context.addIssue({
          code: 'custom',
          message: `expected ${describeShape(shape)}, or a reference secret://name to one`,
        });
        return z.NEVER;
      }
      return setting;
    })
    .meta({ secret: true, secretShape: shape });
