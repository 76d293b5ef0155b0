// The conversation: questions, the answers that stream in, and what was said before.
import { badge, evidence } from "./answer.js";
import { announce, element, find } from "./dom.js";
import { errorBox } from "./service.js";
import { ask } from "./stream.js";

const REMEMBERED = 8; // earlier turns that go along with a question
const CARRIED = 20; // answers of an earlier turn, by which "they" and "it" are understood
let turns = []; // finished ones: {question, text, answers}
let asked = 0;
let running = null; // what stops the answer that is streaming in
let actions = null;

/** Wires the composer. `actions`: onrecord(record) for each answer that is complete, and what the buttons below an answer do. */
export function startConversation(given) {
  actions = given;
  const form = find("composer");
  const question = find("question");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (running && event.submitter) running.abort();
    else if (!running && question.value.trim()) {
      submit(question.value.trim(), turns.slice());
      question.value = "";
    }
  });
  question.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
    if (event.key === "Escape") running?.abort();
  });
  find("new").addEventListener("click", () => {
    running?.abort();
    turns = [];
    asked = 0;
    find("turns").replaceChildren();
    question.focus();
    announce("A new conversation.");
  });
}

async function submit(question, before) {
  document.getElementById("welcome")?.remove();
  const words = element("p", { class: "words" });
  const reply = element("div", { class: "reply", "aria-live": "polite", "aria-busy": "true" }, words);
  const turn = element("article", { class: "turn", "aria-label": `Question ${++asked}` }, element("h3", { dir: "auto" }, question), reply);
  find("turns").append(turn);
  turn.scrollIntoView({ block: "start" });
  const controller = new AbortController();
  running = controller;
  busy(true);
  announce("Looking for the answer.");
  try {
    const record = await ask(
      { messages: messages(before, question), model: find("model").value, strategy: find("strategy").value, signal: controller.signal },
      (piece) => words.append(piece),
    );
    words.textContent = record.text || words.textContent; // the record is what counts
    reply.prepend(badge(record));
    turn.append(evidence(record, { ...actions, ondraw: () => actions.ondraw(record), onagain: () => !running && submit(question, before) }));
    if (turn.isConnected) turns.push({ question, text: record.text, answers: (record.answers ?? []).slice(0, CARRIED) });
    actions.onrecord(record);
  } catch (error) {
    if (error.name === "AbortError") reply.append(element("p", { class: "small" }, "Stopped."));
    else turn.append(errorBox(error, actions.onkey));
  } finally {
    reply.setAttribute("aria-busy", "false");
    if (running === controller) {
      running = null;
      busy(false);
      announce("");
    }
  }
}

function messages(before, question) {
  const said = before.slice(-REMEMBERED).flatMap((turn) => [
    { role: "user", content: turn.question },
    { role: "assistant", content: turn.text, raykg: { answers: turn.answers } },
  ]);
  return [...said, { role: "user", content: question }];
}

function busy(yes) {
  find("send").textContent = yes ? "Stop" : "Ask";
  find("question").required = !yes; // an empty box must not keep the Stop button from working
}
