/** The secrets that a configuration refers to, for the check at start. */
import { SecretSetting, type SecretRequirement } from '../platform/secrets/Port.ts';

/** Every `SecretSetting` in the configuration, lists included, with the path of its key. */
export const secretRequirements = (config: unknown, path = ''): readonly SecretRequirement[] => {
  if (config instanceof SecretSetting) return [{ setting: config, usedBy: path }];
  if (typeof config !== 'object' || config === null) return [];
  return Object.entries(config).flatMap(([key, member]) => {
    const step = Array.isArray(config) ? `[${key}]` : path === '' ? key : `.${key}`;
    return secretRequirements(member, path + step);
  });
};
