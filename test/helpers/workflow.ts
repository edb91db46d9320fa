import { register } from 'node:module';

/** The fields of a job's step that the tests use. */
export interface Step {
  uses?: string;
  run?: string;
}

/** A workflow as GitHub's parser reads it. */
export interface Workflow {
  mistakes: string[];
  jobs: { id: string; steps: Step[] }[];
}

/** The library imports its schemas as JSON without import attributes, which only bundlers accept. */
const JSON_IMPORTS = `export const load = (url, context, next) =>
  next(url, url.endsWith('.json') ? { ...context, importAttributes: { type: 'json' } } : context);`;
register(`data:text/javascript,${encodeURIComponent(JSON_IMPORTS)}`);

/** Parses a workflow with GitHub's own parser: schema, expressions and the order of jobs. */
export async function readWorkflow(name: string, content: string): Promise<Workflow> {
  const { convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow } = await import('@actions/workflow-parser');
  const { context, value } = parseWorkflow({ name, content }, new NoOperationTraceWriter());
  const template = value && (await convertWorkflowTemplate(context, value));
  const mistakes = context.errors.getErrors().map(({ message }) => message);
  const jobs = (template?.jobs ?? []).map((job) => {
    const steps = job.type === 'job' ? job.steps : [];
    return {
      id: job.id.value,
      steps: steps.map((step) => {
        if ('uses' in step) return { uses: step.uses.value };
        return 'run' in step ? { run: step.run.toDisplayString() } : {};
      }),
    };
  });
  return { mistakes, jobs };
}
