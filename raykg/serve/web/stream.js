// Answers that arrive in pieces: server-sent events over fetch, because EventSource can neither POST nor carry a key.
import { request, remember, ServiceError } from "./service.js";

/** Yields the data of each event of a response. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      waiting += done ? "\n\n" : value;
      // A line feed may be the second half of a line break that came in two pieces: leave a carriage return at the end alone.
      const held = !done && waiting.endsWith("\r") ? "\r" : "";
      waiting = waiting.slice(0, waiting.length - held.length).replace(/\r\n?/g, "\n");
      const blocks = waiting.split("\n\n");
      waiting = blocks.pop() + held;
      for (const block of blocks) {
        const lines = block.split("\n").filter((line) => line.startsWith("data:"));
        if (lines.length) yield lines.map((line) => line.slice(line.startsWith("data: ") ? 6 : 5)).join("\n");
      }
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => {}); // whoever stops listening tells the service so
  }
}

/** Asks a question of a conversation and returns the answer's record; `onwords` gets the answer piece by piece. */
export async function ask({ messages, model, strategy, signal }, onwords) {
  const body = { messages, stream: true, ...(model ? { model } : {}), ...(strategy ? { strategy } : {}) };
  const response = await request("v1/chat/completions", { method: "POST", body, signal });
  const requestId = response.headers.get("X-Request-ID");
  const broken = () => new ServiceError("The answer broke off before its evidence arrived. Ask again.", { type: "stream", requestId });
  let record = null;
  try {
    for await (const data of events(response.body)) {
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ServiceError(chunk.error.message, { type: chunk.error.type, code: chunk.error.code, requestId });
      const words = chunk.choices?.[0]?.delta?.content;
      if (words) onwords(words);
      if (chunk.raykg) record = chunk.raykg;
    }
  } catch (error) {
    throw error instanceof ServiceError || error.name === "AbortError" ? error : broken(); // a lost connection, or half an event
  }
  if (!record) throw broken();
  remember(record.kg?.version);
  return record;
}
