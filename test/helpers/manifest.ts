import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { parseAllDocuments } from 'yaml';

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));

/** One object of a manifest. */
export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  // Checked against the types of Kubernetes by `mistakesIn`.
  spec: Record<string, unknown>;
}

/** An environment variable of a container. */
interface Variable {
  name: string;
  value?: string;
  valueFrom?: { fieldRef?: { fieldPath: string }; secretKeyRef?: { name: string; key: string } };
}

/** The fields of the pod template that the tests use. */
export interface PodSpec {
  enableServiceLinks?: boolean;
  terminationGracePeriodSeconds: number;
  securityContext: { runAsUser: number; runAsGroup: number };
  containers: [
    {
      image: string;
      command: string[];
      args: [string];
      env: Variable[];
      ports: { name: string; containerPort: number }[];
      startupProbe: Probe;
      livenessProbe: Probe;
      readinessProbe: Probe;
      lifecycle: { preStop: { exec: { command: [string, string] } } };
    },
  ];
}

interface Probe {
  httpGet: { path: string; port: string };
}

/** The objects of a manifest of the repository. */
export function readManifest(file: string): KubernetesObject[] {
  const documents = parseAllDocuments(readFileSync(`${PROJECT}${file}`, 'utf8'));
  return [...documents].flatMap((document) => {
    const [error] = [...document.errors, ...document.warnings];
    if (error) throw error;
    const object = document.toJS() as KubernetesObject | null;
    return object === null ? [] : [object];
  });
}

/**
 * Validates an object with the validators and the types that are generated from Kubernetes' OpenAPI schemas; only the types
 * detect unknown fields. Returns the mistakes.
 */
export async function mistakesIn(object: KubernetesObject): Promise<string[]> {
  const { apiVersion, kind } = object;
  const module = `kubernetes-models/${apiVersion}/${kind}`;
  const models = (await import(module)) as Record<string, new (data: KubernetesObject) => { validate(): void }>;
  const Model = models[kind];
  if (Model === undefined) throw new Error(`${module} has no ${kind}`);
  const mistakes = typeMistakes(`import type { I${kind} } from '${module}';
export const object: I${kind} = ${JSON.stringify(object)};
`);
  try {
    new Model(object).validate();
  } catch (error) {
    mistakes.push((error as Error).message);
  }
  return mistakes;
}

/** The messages of the TypeScript compiler for the text of a module. */
function typeMistakes(text: string): string[] {
  const file = `${PROJECT}object-of-a-manifest.ts`;
  const options: ts.CompilerOptions = {
    ...{ strict: true, noEmit: true, skipLibCheck: true, types: [] },
    ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext },
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => name === file || fileExists(name);
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2022) : getSourceFile(name, ...rest);
  const diagnostics = ts.getPreEmitDiagnostics(ts.createProgram([file], options, host));
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

/** The environment of a container's command in the pod of this name. */
export function containerEnvironment(
  { enableServiceLinks = true, containers: [container] }: PodSpec,
  pod: string,
  secrets: Record<string, string>,
  services: readonly string[],
): Record<string, string> {
  const environment: Record<string, string> = {};
  if (enableServiceLinks) {
    for (const name of services) environment[`${name.toUpperCase().replaceAll('-', '_')}_SERVICE_HOST`] = '10.0.0.1';
  }
  for (const { name, value, valueFrom } of container.env) {
    const { fieldRef, secretKeyRef } = valueFrom ?? {};
    const fromField = fieldRef?.fieldPath === 'metadata.name' ? pod : undefined;
    const given = value ?? fromField ?? (secretKeyRef && secrets[`${secretKeyRef.name}/${secretKeyRef.key}`]);
    if (given === undefined) throw new Error(`${name} has no value`);
    environment[name] = given;
  }
  return environment;
}

/** Runs the command of a container with `env -0` in place of the final exec, and returns the FIDFS_ variables. */
export function settingsOf({ containers: [container] }: PodSpec, environment: Record<string, string>) {
  const [shell, ...words] = container.command as [string, ...string[]];
  const script = container.args[0].replace(/^exec .* start$/m, 'exec env -0');
  const PATH = process.env.PATH ?? '';
  const output = execFileSync(shell, [...words, script], { env: { PATH, ...environment }, stdio: 'pipe' });
  const variables = output
    .toString()
    .split('\0')
    .flatMap((line): [string, string][] => {
      const [, name, value] = /^(FIDFS_\w+)=(.*)$/s.exec(line) ?? [];
      return name === undefined ? [] : [[name, value as string]];
    });
  return Object.fromEntries(variables);
}
