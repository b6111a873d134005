// The `ai` SDK as a client: `node ai_sdk.mjs FOLDER`, where FOLDER has node_modules. Each line of its standard input is a task in
// JSON, and each line of its output the result. It exits at the end of its input.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.argv[2]}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { generateText, isStepCount, jsonSchema, Output, streamText, tool } = await load("ai");
const { createOpenAI } = await load("@ai-sdk/openai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
const { createAnthropic } = await load("@ai-sdk/anthropic");
const { createGoogle } = await load("@ai-sdk/google");

const BUDGET = 1024;
const CITY = jsonSchema({
  type: "object",
  properties: { city: { type: "string" }, inhabitants: { type: "integer" } },
  required: ["city", "inhabitants"],
  additionalProperties: false,
});

// The models of each package, and the options that make them think.
const providers = {
  openai_chat: (settings) => createOpenAI(settings).chat,
  openai_responses: (settings) => createOpenAI(settings).responses,
  openai_compatible: (settings) =>
    createOpenAICompatible({ ...settings, name: "gateway", includeUsage: true, supportsStructuredOutputs: true }),
  anthropic: (settings) => createAnthropic(settings),
  google: (settings) =>
    createGoogle({ ...settings, baseURL: settings.baseURL.replace(/v1$/, "v1beta") }),
};
const thinking = {
  openai_chat: { openai: { reasoningEffort: "low", forceReasoning: true } },
  openai_responses: {
    openai: { reasoningEffort: "low", reasoningSummary: "auto", store: false, forceReasoning: true },
  },
  openai_compatible: { gateway: { reasoningEffort: "low" } },
  anthropic: { anthropic: { thinking: { type: "enabled", budgetTokens: BUDGET } } },
  google: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: BUDGET } } },
};

const tools = (calls) =>
  Object.fromEntries(
    ["get_weather", "get_tide"].map((name) => [
      name,
      tool({
        description: name,
        inputSchema: jsonSchema({
          type: "object",
          properties: { city: { type: "string" } },
          required: ["city"],
          additionalProperties: false,
        }),
        execute: async (input, { toolCallId }) => {
          calls.push({ id: toolCallId, name, input });
          return `${name} of ${input.city}`;
        },
      }),
    ]),
  );

async function run(task) {
  const calls = [];
  const content = [{ type: "text", text: task.prompt }];
  if (task.image) content.push({ type: "file", data: task.image, mediaType: "image/png" });
  const provider = providers[task.client]({ baseURL: `${task.url}/v1`, apiKey: task.key });
  const stateless = task.client === "openai_responses" ? { openai: { store: false } } : undefined;
  const asked = {
    model: provider(task.model),
    messages: [{ role: "user", content }],
    maxRetries: 0,
    stopWhen: isStepCount(6),
    maxOutputTokens: task.maxTokens,
    providerOptions: task.thinking ? thinking[task.client] : stateless,
    ...(task.tools ? { tools: tools(calls) } : {}),
    ...(task.schema ? { output: Output.object({ schema: CITY }) } : {}),
  };
  let result;
  let deltas = 0;
  if (task.stream) {
    result = streamText({ ...asked, onError: () => {} });
    for await (const part of result.stream) {
      if (part.type === "text-delta") deltas += 1;
      if (part.type === "error") throw part.error;
    }
  } else {
    result = await generateText(asked);
  }
  const steps = await result.steps;
  const response = await result.response;
  return {
    text: await result.text,
    deltas,
    calls,
    reasoning: steps.map((step) => step.reasoningText ?? ""),
    finish: await result.finishReason,
    usage: await result.usage,
    id: response.id,
    model: response.modelId,
    timestamp: response.timestamp,
    output: task.schema ? await result.output : undefined,
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = await run(JSON.parse(line));
  } catch (error) {
    const seen = error.lastError ?? error;
    answer = {
      error: {
        name: seen.name ?? typeof seen,
        message: seen.message ?? JSON.stringify(seen),
        status: seen.statusCode ?? null,
        retryable: seen.isRetryable ?? null,
        retryAfter: seen.responseHeaders?.["retry-after"] ?? null,
      },
    };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
