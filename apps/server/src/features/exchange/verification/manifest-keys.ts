/** The installation's key for manifests: an Ed25519 seed among the secrets, made at first use where the store can keep it. */
import type { KeyObject } from 'node:crypto';
import { SecretSetting, type Secrets } from '../../../platform/secrets/Port.ts';
import { publicKeyText, signingKey } from './manifest-format.ts';

export interface ManifestKeys {
  signing(): Promise<KeyObject>;
  /** SPKI in base64. */
  publicKey(): Promise<string>;
}

const setting = (name: string): SecretSetting => SecretSetting.named(name, { kind: 'hex', bytes: 32, generate: true });

/** `name` of the secret: 32 bytes in hexadecimal. */
export const createManifestKeys = (secrets: Pick<Secrets, 'get'>, name: string): ManifestKeys => {
  const secret = setting(name);
  const signing = async (): Promise<KeyObject> => signingKey((await secrets.get(secret)).reveal());
  return { signing, publicKey: async () => publicKeyText(await signing()) };
};
