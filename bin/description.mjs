// Compiles docs/openapi.yaml into dist/test/description.cjs, with which the tests check every answer: its operations, and a validator for
// each schema. Parsing and compiling takes half a second of CPU, and there are hundreds of test processes.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { root } from './run.mjs';

const require = createRequire(import.meta.url);
const { Ajv2020 } = require('ajv/dist/2020.js');
const { default: standaloneCode } = require('ajv/dist/standalone/index.js');
const { default: addFormats } = require('ajv-formats');
const { parse } = require('yaml');

const DOCUMENT = 'urn:fidfs:openapi';
const METHODS = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options'];
/** The end of the addresses that contain an ID. */
const ID = '/{group}/{storePath}/{directory}/{subdirectory}/{name}';

const described = parse(readFileSync(join(root, 'docs/openapi.yaml'), 'utf8'), { maxAliasCount: -1 });
const validators = {};

/** The object of a `$ref`, or the object itself. */
function resolve(object) {
  if (object.$ref === undefined) return object;
  return object.$ref
    .slice(2)
    .split('/')
    .reduce((at, key) => at[key], described);
}

/** A schema of a response that permits no properties but those described, at any depth. Documents for clients leave that open. */
function closed(schema) {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const result = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closedBelow(key, value)]));
  const isCombined = ['$ref', 'allOf', 'oneOf', 'properties'].some((key) => key in schema);
  return isCombined && !('additionalProperties' in schema) ? { ...result, unevaluatedProperties: false } : result;
}

function closedBelow(key, value) {
  if (key === 'items' || key === 'prefixItems') return closed(value);
  if (key === 'properties') return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, closed(one)]));
  // These are parts of one object, so only the whole is closed.
  if (key === 'allOf' || key === 'oneOf') return value.map((part) => partOf(part));
  return value;
}

function partOf(schema) {
  const { unevaluatedProperties, ...open } = closed(schema);
  return open;
}

/** The name of the validator of a schema; null if there is none. */
function validatorOf(schema) {
  if (schema === undefined) return null;
  const text = JSON.stringify(schema);
  validators[text] ??= `validate${Object.keys(validators).length}`;
  return validators[text];
}

function responseOf(reference) {
  const { headers = {}, content = {} } = resolve(reference);
  return {
    headers: Object.entries(headers).map(([name, header]) => {
      const { required = false, schema } = resolve(header);
      return { name: name.toLowerCase(), isRequired: required, validator: validatorOf(schema) };
    }),
    content: Object.entries(content).map(([type, { schema }]) => ({
      type,
      validator: validatorOf(schema && closed(schema)),
    })),
  };
}

/** A regular expression for the addresses of a path. Where an ID follows a prefix, also for texts that are none. */
function patternOf(path) {
  if (path === ID) return '^/[^/]+(?:/[^/]+){2,4}$';
  const template = path.endsWith(ID) ? `${path.slice(0, -ID.length)}/{rest}` : path;
  return `^${template.replace(/\{(?:rest|name)\}/, '.*').replace(/\{\w+\}/g, '[^/]+')}$`;
}

const operations = Object.entries(described.paths).flatMap(([path, item]) =>
  METHODS.filter((method) => item[method] !== undefined).map((method) => ({
    method: method.toUpperCase(),
    path,
    pattern: patternOf(path),
    responses: Object.fromEntries(
      Object.entries(item[method].responses).map(([status, response]) => [status, responseOf(response)]),
    ),
  })),
);
const problem = validatorOf(closed({ $ref: '#/components/schemas/Problem' }));

const components = Object.fromEntries(
  Object.entries(described.components.schemas).map(([name, schema]) => [name, partOf(schema)]),
);
const ajv = new Ajv2020({ strict: false, code: { source: true, lines: false } });
addFormats(ajv);
ajv.addSchema({ $id: DOCUMENT, components: { schemas: components } });
const references = {};
for (const [text, name] of Object.entries(validators)) {
  const $id = `${DOCUMENT}:${name}`;
  ajv.addSchema({ ...JSON.parse(text.replaceAll('"#/components', `"${DOCUMENT}#/components`)), $id });
  references[name] = $id;
}
const code = standaloneCode(ajv, references);
const tables = { operations, problem };
const more = Object.entries(tables).map(([name, table]) => `exports.${name} = ${JSON.stringify(table)};\n`);
writeFileSync(join(root, 'dist/test/description.cjs'), `${code}\n${more.join('')}`);
