// The page of a raykg service, without a build step: every module is served as it stands here.
import { shortVersion } from "./answer.js";
import { startConversation } from "./conversation.js";
import { find } from "./dom.js";
import { fit, restyle } from "./drawing.js";
import { drawRecord, startExplorer, walk } from "./explorer.js";
import { openProposal, showProposals, startReview } from "./review.js";
import { errorBox, onVersion, remember } from "./service.js";
import { openSettings, showModels, startSettings } from "./settings.js";

const WIDE = "(min-width: 56.01rem)"; // as style.css has it
let latest = null; // the record whose facts the graph's view goes back to

/** Brings a view to the front; on a wide screen the conversation is always there, beside the graph. */
function show(chosen) {
  const view = chosen === "ask" && matchMedia(WIDE).matches ? "graph" : chosen;
  document.body.dataset.view = view;
  for (const one of document.querySelectorAll("[data-show]")) one.setAttribute("aria-pressed", String(one.dataset.show === view));
  if (view === "review") showProposals();
}

function draw(record, front = true) {
  latest = record;
  drawRecord(record);
  find("proof").disabled = false;
  if (front) show("graph");
}

async function connect() {
  try {
    remember(await showModels());
    find("notice").replaceChildren();
  } catch (error) {
    find("notice").replaceChildren(errorBox(error, openSettings));
  }
}

startSettings({ onkey: connect, ontheme: restyle });
startExplorer({
  onshow: () => show("graph"),
  onkey: openSettings,
  onabout: (label) => {
    show("ask");
    const question = find("question");
    question.value = `${question.value} ${label}`.trimStart();
    question.focus();
  },
});
startReview({ onkey: openSettings });
startConversation({
  onrecord: (record) => draw(record, false),
  ondraw: (record) => draw(record),
  onwalk: (node) => walk(node),
  onreview: () => show("review"),
  onpropose: (pattern) => {
    show("review");
    openProposal(pattern);
  },
  onkey: openSettings,
});
for (const one of document.querySelectorAll("[data-show]")) one.addEventListener("click", () => show(one.dataset.show));
find("proof").addEventListener("click", () => {
  drawRecord(latest);
  fit();
});
onVersion((version) => {
  find("version").hidden = false;
  find("version").textContent = `graph ${shortVersion(version)}`;
  find("version").title = version;
});
show("ask");
connect();
