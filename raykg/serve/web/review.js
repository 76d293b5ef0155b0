// Proposals: what somebody or some model would have the graph know, accepted or rejected by a person.
import { shortVersion } from "./answer.js";
import { button, element, find, name } from "./dom.js";
import { errorBox, json, remember } from "./service.js";

const OPEN = "?";
let settings = null;

/** Wires the list and the form; `onkey` opens the settings, where a key can be entered. */
export function startReview({ onkey }) {
  settings = { onkey };
  find("reload").addEventListener("click", showProposals);
  find("proposals-status").addEventListener("change", showProposals);
  find("proposal").addEventListener("submit", propose);
}

/** Opens the form with what is known of a missing fact; the side that is asked for gets the focus. */
export function openProposal({ head, relation, tail }) {
  find("propose").open = true;
  const fields = find("proposal").elements;
  const given = (text) => (text === OPEN ? "" : text);
  fields.head.value = given(head);
  fields.relation.value = given(relation);
  fields.tail.value = given(tail);
  (fields.head.value === "" ? fields.head : fields.tail).focus();
}

export async function showProposals() {
  const place = find("proposals");
  const status = find("proposals-status").value;
  place.setAttribute("aria-busy", "true");
  try {
    const { proposals } = await json(`v1/kg/proposals${status ? `?${new URLSearchParams({ status })}` : ""}`);
    const list = element("ul", { class: "proposals" }, ...proposals.map(card));
    place.replaceChildren(proposals.length ? list : element("p", { class: "small" }, "There are none."));
  } catch (error) {
    place.replaceChildren(errorBox(error, settings.onkey));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

function card(proposal) {
  const outcome = element("div", { role: "status" });
  const pieces = [proposal.evidence ?? []].flat();
  const made = element(
    "li",
    {},
    line(proposal.fact ?? proposal),
    ...pieces.map((piece) => element("p", { class: "quoted" }, name(words(piece.what ?? piece)))),
    proposal.contradicts?.length ? element("div", { class: "note unverified" }, "It contradicts what the graph says:", ...proposal.contradicts.map(line)) : null,
    element("p", { class: "small" }, about(proposal)),
  );
  if (proposal.status === "pending") made.append(decision(proposal, made, outcome));
  made.append(outcome);
  return made;
}

function line({ head, relation, tail }) {
  return element("p", { class: "fact" }, name(words(head)), element("span", { class: "relation" }, ` ${words(relation)} `), name(words(tail)));
}

function decision(proposal, made, outcome) {
  const { head, tail } = proposal.fact ?? proposal;
  const open = words(head) === OPEN ? "head" : words(tail) === OPEN ? "tail" : null; // a side that the reviewer fills in
  const filled = open ? element("input", { maxlength: 500, "aria-label": "What stands for the question mark", placeholder: "what stands for ?" }) : null;
  const reason = element("input", { maxlength: 500, "aria-label": "Reason", placeholder: "why (optional)" });
  const place = element("div", { class: "actions" });
  const replace = proposal.contradicts?.length ? { replace: true } : {};
  const decide = async (verb, body) => {
    const why = reason.value.trim();
    for (const control of place.children) control.disabled = true;
    try {
      const done = await json(`v1/kg/proposals/${encodeURIComponent(proposal.id)}/${verb}`, { method: "POST", body: { ...body, ...(why ? { reason: why } : {}) } });
      const said = `${verb === "accept" ? "Accepted" : "Rejected"}${done.kg?.version ? `; the graph is at ${shortVersion(done.kg.version)}` : ""}.`;
      remember(done.kg?.version);
      place.remove();
      outcome.replaceChildren(said);
      made.classList.add(verb === "accept" ? "accepted" : "rejected");
    } catch (error) {
      for (const control of place.children) control.disabled = false;
      outcome.replaceChildren(errorBox(error, settings.onkey));
    }
  };
  const accept = () => {
    if (filled && !filled.value.trim()) filled.focus();
    else decide("accept", { ...replace, ...(filled ? { [open]: filled.value.trim() } : {}) });
  };
  place.append(
    ...(filled ? [filled] : []),
    button(replace.replace ? "Accept and replace" : "Accept", accept, { class: "main" }),
    button("Reject", () => decide("reject", {})),
    reason,
  );
  return place;
}

async function propose(event) {
  event.preventDefault();
  const form = find("proposal");
  const place = find("proposal-outcome");
  const body = Object.fromEntries([...new FormData(form)].map(([key, text]) => [key, text.trim()]));
  try {
    await json("v1/kg/proposals", { method: "POST", body });
    form.reset();
    place.replaceChildren(element("p", { role: "status" }, "Proposed. It waits for review."));
    find("proposals-status").value = "pending";
    await showProposals();
  } catch (error) {
    place.replaceChildren(errorBox(error, settings.onkey));
  }
}

function about({ status, proposer, proposed, reviewer, reviewed, reason }) {
  return [
    status,
    proposer ? `proposed by ${proposer}${proposed ? `, ${day(proposed)}` : ""}` : null,
    reviewer ? `decided by ${reviewer}${reviewed ? `, ${day(reviewed)}` : ""}` : null,
    reason,
  ].filter(Boolean).join(" · ");
}

function day(text) {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? text : time.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

function words(value) {
  return typeof value === "object" && value !== null ? String(value.label ?? value.name ?? value.text ?? JSON.stringify(value)) : String(value);
}
